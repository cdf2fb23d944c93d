"""Addresses of virtual services and of backends."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def address_order(address: Address) -> tuple[int, int]:
    """The canonical order of addresses, the same on every director: IPv4 first, then by number (I9)."""
    return address.version, int(address)


def host_prefix(address: Address) -> str:
    """The address as the one-host prefix that is put on a link and announced: ``10.50.0.1/32``, ``2001:db8::1/128``."""
    return f"{address}/{address.max_prefixlen}"


def canonical_networks(networks: Iterable[Network]) -> tuple[Network, ...]:
    """The fewest networks that hold the same addresses, IPv4 first: what is written in two ways is one value."""
    found = frozenset(networks)
    v4 = collapse_addresses(network for network in found if isinstance(network, IPv4Network))
    v6 = collapse_addresses(network for network in found if isinstance(network, IPv6Network))
    return (*v4, *v6)
