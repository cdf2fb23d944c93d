"""Which networks a director must have a route to, so that its backends can be reached."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from appliance.model.address import Address, Network


def backend_subnets(addresses: Iterable[Address], prefix_v4: int, prefix_v6: int) -> frozenset[Network]:
    """The networks of ``prefix_v4`` (0 to 32) or ``prefix_v6`` (0 to 128) bits that hold ``addresses``.

    One network stands for all backends in it: thousands of backends make a handful of route look-ups.
    """
    v4: set[int] = set()
    v6: set[int] = set()
    for address in addresses:
        if isinstance(address, IPv4Address):
            v4.add(_head(address, prefix_v4))
        else:
            v6.add(_head(address, prefix_v6))
    return frozenset(IPv4Network((head, prefix_v4)) for head in v4) | frozenset(
        IPv6Network((head, prefix_v6)) for head in v6
    )


def _head(address: Address, prefix: int) -> int:
    host_bits = address.max_prefixlen - prefix
    return int(address) >> host_bits << host_bits
