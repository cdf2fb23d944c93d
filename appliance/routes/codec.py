"""Route look-ups as rtnetlink bytes, and what the answers mean.

Layouts are those of ``include/uapi/linux/rtnetlink.h`` (struct rtmsg, RTA_*, RTN_*).
"""

import errno
import struct
from ipaddress import IPv4Address
from typing import Final

from appliance.model.address import Address, Network
from appliance.netlink.message import Request, attribute, attributes, malformed

RTN_UNICAST = 1
RTN_LOCAL = 2

UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL})
"""What a look-up answers when there is no route, and for routes of type unreachable, prohibit and blackhole."""

_RTM_GETROUTE = 26
_RTMSG = struct.Struct("=BBBBBBBBI")
_U32 = struct.Struct("=I")
_RTA_DST = 1
_RTA_OIF = 4
_LOOPBACK_INDEX = 1
"""LOOPBACK_IFINDEX: in every network namespace the loopback is the first link."""
_AF_INET = 2
_AF_INET6 = 10


def lookup_request(address: Address) -> Request:
    """Ask which route a packet to ``address`` takes."""
    family = _AF_INET if isinstance(address, IPv4Address) else _AF_INET6
    head = _RTMSG.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    return Request(_RTM_GETROUTE, head + attribute(_RTA_DST, address.packed))


def decode_route(body: bytes) -> tuple[int, bool]:
    """The type of a route (RTN_*), and whether it leads into the loopback.

    Raises:
        KernelError: with EBADMSG, the bytes are not a route.
    """
    if len(body) < _RTMSG.size:
        raise malformed("route", 0)
    kind = body[7]
    link = attributes(body, _RTMSG.size).get(_RTA_OIF, b"")
    return kind, len(link) == _U32.size and _U32.unpack(link)[0] == _LOOPBACK_INDEX


def first_host(network: Network) -> Address:
    """The lowest address of ``network`` that a host can have."""
    return network[0] if network.num_addresses <= 2 else network[1]  # noqa: PLR2004  RFC 3021: both of two are hosts


def last_host(network: Network) -> Address:
    """The highest address of ``network`` that a host can have."""
    return network[-1] if network.num_addresses <= 2 or network.version == 6 else network[-2]  # noqa: PLR2004  as above
