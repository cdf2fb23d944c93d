"""What the kernel was read to hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.model.address import Address, Network
from appliance.model.service import Destination, ServiceKey, VirtualService


@dataclass(frozen=True, slots=True)
class ObservedService:
    """A virtual service with its destinations, in the order in which the kernel lists them."""

    service: VirtualService
    destinations: tuple[Destination, ...] = ()


@dataclass(frozen=True, slots=True)
class ObservedLink:
    """The dummy link that carries the VIPs: whether it is there and up, and which addresses stand on it.

    ``addresses`` holds only one-host prefixes (/32, /128): nothing else on the link is ours. ``elsewhere`` are the
    addresses of this node's other links, but for those that mean something on one link or in one node only.
    ``cut`` are the addresses on it that no packet gets to from outside, and why.
    """

    present: bool = False
    up: bool = False
    addresses: frozenset[Address] = frozenset()
    elsewhere: frozenset[Address] = frozenset()
    cut: Mapping[Address, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """One reading of the kernel: every virtual service (also those that are not ours), the link, and dead routes.

    ``unroutable`` are the backend subnets that this node has no usable route to.
    """

    services: Mapping[ServiceKey, ObservedService] = field(default_factory=dict)
    link: ObservedLink = ObservedLink()
    unroutable: frozenset[Network] = frozenset()
