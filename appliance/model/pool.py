"""Pools that the allocator gives addresses from."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from typing import cast

from appliance.model.address import Address, Network
from appliance.model.labels import EVERYTHING, Selector


@dataclass(frozen=True, slots=True)
class AddressRange:
    """The addresses from ``first`` to ``last``, both included, of one IP version."""

    first: Address
    last: Address

    @classmethod
    def of(cls, network: Network) -> "AddressRange":
        """All addresses of a network."""
        return cls(network.network_address, network.broadcast_address)

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.first.version

    @property
    def bounds(self) -> tuple[int, int]:
        """The first and the last address as numbers."""
        return int(self.first), int(self.last)

    def __contains__(self, address: Address) -> bool:
        """Whether the address lies between the two."""
        return address.version == self.version and int(self.first) <= int(address) <= int(self.last)

    def overlaps(self, other: "AddressRange") -> bool:
        """Whether there is an address that lies in both."""
        return other.first in self or self.first in other

    def __str__(self) -> str:
        """As a network where it is one, ``10.50.0.0/24``, otherwise ``10.50.0.10-10.50.0.19``."""
        first = summarize_address_range(cast("IPv4Address", self.first), cast("IPv4Address", self.last))
        network = next(iter(first))
        return str(network) if network.broadcast_address == self.last else f"{self.first}-{self.last}"


def address_at(number: int, version: int) -> Address:
    """The address with that number."""
    return IPv4Address(number) if version == 4 else IPv6Address(number)  # noqa: PLR2004 - the IP version


@dataclass(frozen=True, slots=True)
class AddressPool:
    """Ranges of addresses, and who gets them.

    ``automatic``: for Services that name no pool, too. ``is_default`` goes before others of its priority, and a lower
    ``priority`` before a higher. Without ``namespaces`` it serves all of them; ``selector`` is one of Services' labels,
    ``namespace_selector`` one of those of their namespaces.
    ``avoids_edges`` leaves out IPv4 addresses that end in 0 and 255, unless they are asked for by name. ``reserved``
    ones are never given. A ``disabled`` pool gives nothing more. None of these takes away what was given before.
    """

    name: str
    ranges: tuple[AddressRange, ...]
    automatic: bool = True
    is_default: bool = False
    priority: int = 100
    namespaces: tuple[str, ...] = ()
    namespace_selector: Selector = EVERYTHING
    selector: Selector = EVERYTHING
    avoids_edges: bool = True
    reserved: tuple[AddressRange, ...] = ()
    disabled: bool = False

    @property
    def is_restricted(self) -> bool:
        """Whether it serves some Services only."""
        return bool(self.namespaces or self.namespace_selector.terms or self.selector.terms)
