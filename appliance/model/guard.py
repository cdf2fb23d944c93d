"""What the guard lets through to the VIPs, and what it counted."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.model.address import Address, Network
from appliance.model.service import ServiceKey


class Refusal(enum.Enum):
    """What becomes of a packet to a VIP that no service wants.

    DROP: nobody hears of it. REJECT: the sender is told, with a TCP reset or ICMP port unreachable, at most 1,000 times
    a second; the rest is dropped. What goes to a pool address without any service is dropped in either case.
    """

    DROP = "drop"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class FlowLimit:
    """At most ``per_s`` new flows a second, counted together for all rules that hold an equal limit.

    ``first`` is the first of their keys, which tells one limit from another. They are of one VIP.
    """

    first: ServiceKey
    per_s: int


@dataclass(frozen=True, slots=True)
class GuardRule:
    """Lets packets through to one service: from ``sources`` only, of its own IP version; None for all."""

    key: ServiceKey
    sources: tuple[Network, ...] | None = None
    limit: FlowLimit | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """Everything the guard should hold. A value equal to another needs no change.

    It concerns ``pools`` alone, and of these not ``own``: addresses in them that the node itself uses. ``vips`` answer
    to ICMP; a service of theirs without a rule is closed. ``pools`` and the sources of rules are canonical.
    """

    pools: tuple[Network, ...] = ()
    own: frozenset[Address] = frozenset()
    vips: frozenset[Address] = frozenset()
    rules: frozenset[GuardRule] = frozenset()
    refusal: Refusal = Refusal.DROP


@dataclass(frozen=True, slots=True)
class ObservedGuard:
    """The guard as the kernel holds it.

    ``guard`` is what its sets say; None where there is none, or nobody could make sense of them. ``intact`` says that
    besides them everything stands as it should: chains, their places, rules, types. A process that has not applied a
    guard yet does not know that.
    """

    guard: Guard | None = None
    intact: bool = False


@dataclass(frozen=True, slots=True)
class GuardCounts:
    """Packets since the guard was made.

    ``refused``: to a VIP, and no rule let them through (dropped, or rejected). ``limited``: new flows above a limit, of
    VIPs that have one. ``unserved``: to a pool address that no service uses. ``spoofed``: from outside with a VIP of
    this node as the source, or to be forwarded with any pool address as the source.
    """

    refused: Mapping[Address, int] = field(default_factory=dict)
    limited: Mapping[Address, int] = field(default_factory=dict)
    unserved: int = 0
    spoofed: int = 0
