"""A veth pair, its addresses and routes as rtnetlink bytes, and what of a link and a route matters for it.

Layouts are those of ``include/uapi/linux/if_link.h`` (struct ifinfomsg, IFLA_*, VETH_INFO_PEER), ``if_addr.h`` and
``rtnetlink.h`` (struct rtmsg, RTA_*). The settings of a link are arrays that it carries along: IFLA_INET_CONF begins
with IPV4_DEVCONF_FORWARDING (``ip.h``), IFLA_INET6_CONF with DEVCONF_FORWARDING (``ipv6.h``).
"""

import errno
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from appliance.model.address import Address, Network
from appliance.netlink.message import NLM_F_CREATE, NLM_F_EXCL, Request, attribute, attributes, malformed

VETH = "veth"
LOOPBACK_INDEX = 1
"""LOOPBACK_IFINDEX: in every network namespace the loopback is the first link."""

ROUTE_PROTOCOL = 113
"""By which our routes are told from others: none that rtnetlink.h or iproute2's rt_protos names."""

UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL})
"""What a look-up answers when there is no route, and for routes of type unreachable, prohibit and blackhole."""

_RTM_NEWLINK = 16
_RTM_GETLINK = 18
_RTM_NEWADDR = 20
_RTM_NEWROUTE = 24
_RTM_GETROUTE = 26

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_U32 = struct.Struct("=I")

_IFF_UP = 0x1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_LINKINFO = 18
_IFLA_AF_SPEC = 26
_IFLA_NET_NS_FD = 28
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_VETH_INFO_PEER = 1
_IFLA_INET_CONF = 1
_IFLA_INET6_CONF = 2
_IPV4_DEVCONF_FORWARDING = 1

_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_FLAGS = 8
_IFA_F_NODAD = 0x02

_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RT_TABLE_MAIN = 254
_RT_SCOPE_UNIVERSE = 0
_RTN_UNICAST = 1

_AF_INET = 2
_AF_INET6 = 10


@dataclass(frozen=True, slots=True)
class Link:
    """A link: ``kind`` is the driver's word, empty for hardware; ``mtu`` is in bytes.

    ``forwards`` are the IP versions of which it takes packets that are for others.
    """

    index: int
    up: bool
    kind: str
    mtu: int
    forwards: frozenset[int] = frozenset()


def link_request(name: str) -> Request:
    """Ask for one link by its name; ENODEV is the answer when there is none."""
    return Request(_RTM_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0) + _name(name))


def create_request(outside: str, inside: str, namespace: int, mtu: int) -> Request:
    """Make a pair of links: ``outside`` here, ``inside`` in the namespace of that file descriptor.

    Both are down: the kernel makes the peer first, and that cannot be up alone (ENOTCONN, ``veth_open``).
    """
    head, width = _IFINFO.pack(0, 0, 0, 0, 0), attribute(_IFLA_MTU, _U32.pack(mtu))
    peer = head + _name(inside) + width + attribute(_IFLA_NET_NS_FD, _U32.pack(namespace))
    data = attribute(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, peer))
    info = attribute(_IFLA_LINKINFO, attribute(_IFLA_INFO_KIND, VETH.encode() + b"\0") + data)
    return Request(_RTM_NEWLINK, head + _name(outside) + width + info, NLM_F_CREATE | NLM_F_EXCL)


def set_up_request(index: int) -> Request:
    """Set a link up."""
    return Request(_RTM_NEWLINK, _IFINFO.pack(0, 0, index, _IFF_UP, _IFF_UP))


def set_mtu_request(index: int, mtu: int) -> Request:
    """Give a link another MTU, in bytes."""
    return Request(_RTM_NEWLINK, _IFINFO.pack(0, 0, index, 0, 0) + attribute(_IFLA_MTU, _U32.pack(mtu)))


def forward_ipv4_request(index: int) -> Request:
    """Have a link take IPv4 packets that are for others (``inet_set_link_af``; IPv6 has that for all links only)."""
    setting = attribute(_AF_INET, attribute(_IFLA_INET_CONF, attribute(_IPV4_DEVCONF_FORWARDING, _U32.pack(1))))
    return Request(_RTM_NEWLINK, _IFINFO.pack(0, 0, index, 0, 0) + attribute(_IFLA_AF_SPEC, setting))


def add_address_request(index: int, address: Address, network: Network) -> Request:
    """Put an address of ``network`` on a link; EEXIST is the answer when it is there.

    The two ends have the link to themselves, so IPv6 need not wait to find out whether the address is taken.
    """
    body = _IFADDR.pack(_family(address), network.prefixlen, 0, _RT_SCOPE_UNIVERSE, index)
    body += attribute(_IFA_LOCAL, address.packed) + attribute(_IFA_ADDRESS, address.packed)
    if isinstance(address, IPv6Address):
        body += attribute(_IFA_FLAGS, _U32.pack(_IFA_F_NODAD))
    return Request(_RTM_NEWADDR, body, NLM_F_CREATE | NLM_F_EXCL)


def add_route_request(network: Network, gateway: Address, index: int) -> Request:
    """Lead ``network`` to a gateway behind a link; EEXIST is the answer when there is a route to it, be it another."""
    scope = _RT_SCOPE_UNIVERSE
    head = (_family(gateway), network.prefixlen, 0, 0, _RT_TABLE_MAIN, ROUTE_PROTOCOL, scope, _RTN_UNICAST, 0)
    body = _RTMSG.pack(*head) + attribute(_RTA_GATEWAY, gateway.packed) + attribute(_RTA_OIF, _U32.pack(index))
    if network.prefixlen:
        body += attribute(_RTA_DST, network.network_address.packed)
    return Request(_RTM_NEWROUTE, body, NLM_F_CREATE | NLM_F_EXCL)


def lookup_request(address: Address) -> Request:
    """Ask which way a packet to ``address`` takes."""
    head = _RTMSG.pack(_family(address), address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    return Request(_RTM_GETROUTE, head + attribute(_RTA_DST, address.packed))


def decode_link(body: bytes) -> Link:
    """The link in the body of a message.

    Raises:
        KernelError: with EBADMSG, the bytes are not a link.
    """
    if len(body) < _IFINFO.size:
        raise malformed("link", 0)
    _, _, index, flags, _ = _IFINFO.unpack_from(body)
    found = attributes(body, _IFINFO.size)
    kind = attributes(found.get(_IFLA_LINKINFO, b"")).get(_IFLA_INFO_KIND, b"")
    families = attributes(found.get(_IFLA_AF_SPEC, b""))
    v4 = attributes(families.get(_AF_INET, b"")).get(_IFLA_INET_CONF, b"")
    v6 = attributes(families.get(_AF_INET6, b"")).get(_IFLA_INET6_CONF, b"")
    return Link(
        index,
        bool(flags & _IFF_UP),
        kind.rstrip(b"\0").decode("ascii", "replace"),
        _number(found.get(_IFLA_MTU, b"")),
        frozenset(version for version, settings in ((4, v4), (6, v6)) if _number(settings[: _U32.size])),
    )


def decode_way_out(body: bytes) -> int:
    """The index of the link by which a packet leaves, in the body of an answer to a look-up.

    Raises:
        KernelError: with EBADMSG, the bytes are not a route.
    """
    if len(body) < _RTMSG.size:
        raise malformed("route", 0)
    return _number(attributes(body, _RTMSG.size).get(_RTA_OIF, b""))


def _family(address: Address) -> int:
    return _AF_INET if isinstance(address, IPv4Address) else _AF_INET6


def _name(name: str) -> bytes:
    return attribute(_IFLA_IFNAME, name.encode() + b"\0")


def _number(payload: bytes) -> int:
    """The number in an attribute, 0 where there is none."""
    return int(_U32.unpack(payload)[0]) if len(payload) == _U32.size else 0
