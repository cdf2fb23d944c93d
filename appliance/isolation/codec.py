"""A veth pair, its addresses and routes as rtnetlink bytes, and what of a link and a route matters for it.

Layouts are those of ``include/uapi/linux/if_link.h`` (struct ifinfomsg, IFLA_*, VETH_INFO_PEER), ``if_addr.h`` and
``rtnetlink.h`` (struct rtmsg, RTA_*). The settings of a link are arrays that it carries along: IFLA_INET_CONF begins
with IPV4_DEVCONF_FORWARDING (``ip.h``), IFLA_INET6_CONF with DEVCONF_FORWARDING (``ipv6.h``).
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from appliance.model.address import Address, Network
from appliance.netlink import rtnetlink as rt
from appliance.netlink.message import NLM_F_CREATE, NLM_F_EXCL, Request, attribute, attributes, malformed

VETH = "veth"
ROUTE_PROTOCOL = 113
"""By which our routes are told from others: none that rtnetlink.h or iproute2's rt_protos names."""


_U32 = struct.Struct("=I")

_IFLA_NET_NS_FD = 28
_IFLA_INFO_DATA = 2
_VETH_INFO_PEER = 1
_IFLA_INET_CONF = 1
_IPV4_DEVCONF_FORWARDING = 1


_RTA_GATEWAY = 5
_RT_TABLE_MAIN = 254
_RT_SCOPE_UNIVERSE = 0


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
    return Request(rt.RTM_GETLINK, rt.IFINFO.pack(0, 0, 0, 0, 0) + _name(name))


def create_request(outside: str, inside: str, namespace: int, mtu: int) -> Request:
    """Make a pair of links: ``outside`` here, ``inside`` in the namespace of that file descriptor.

    Both are down: the kernel makes the peer first, and that cannot be up alone (ENOTCONN, ``veth_open``).
    """
    head, width = rt.IFINFO.pack(0, 0, 0, 0, 0), attribute(rt.IFLA_MTU, _U32.pack(mtu))
    peer = head + _name(inside) + width + attribute(_IFLA_NET_NS_FD, _U32.pack(namespace))
    data = attribute(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, peer))
    info = attribute(rt.IFLA_LINKINFO, attribute(rt.IFLA_INFO_KIND, VETH.encode() + b"\0") + data)
    return Request(rt.RTM_NEWLINK, head + _name(outside) + width + info, NLM_F_CREATE | NLM_F_EXCL)


def set_up_request(index: int) -> Request:
    """Set a link up."""
    return Request(rt.RTM_NEWLINK, rt.IFINFO.pack(0, 0, index, rt.IFF_UP, rt.IFF_UP))


def set_mtu_request(index: int, mtu: int) -> Request:
    """Give a link another MTU, in bytes."""
    return Request(rt.RTM_NEWLINK, rt.IFINFO.pack(0, 0, index, 0, 0) + attribute(rt.IFLA_MTU, _U32.pack(mtu)))


def forward_ipv4_request(index: int) -> Request:
    """Have a link take IPv4 packets that are for others (``inet_set_link_af``; IPv6 has that for all links only)."""
    setting = attribute(rt.AF_INET, attribute(_IFLA_INET_CONF, attribute(_IPV4_DEVCONF_FORWARDING, _U32.pack(1))))
    return Request(rt.RTM_NEWLINK, rt.IFINFO.pack(0, 0, index, 0, 0) + attribute(rt.IFLA_AF_SPEC, setting))


def add_address_request(index: int, address: Address, network: Network) -> Request:
    """Put an address of ``network`` on a link; EEXIST is the answer when it is there.

    The two ends have the link to themselves, so IPv6 need not wait to find out whether the address is taken.
    """
    body = rt.IFADDR.pack(_family(address), network.prefixlen, 0, _RT_SCOPE_UNIVERSE, index)
    body += attribute(rt.IFA_LOCAL, address.packed) + attribute(rt.IFA_ADDRESS, address.packed)
    if isinstance(address, IPv6Address):
        body += attribute(rt.IFA_FLAGS, _U32.pack(rt.IFA_F_NODAD))
    return Request(rt.RTM_NEWADDR, body, NLM_F_CREATE | NLM_F_EXCL)


def add_route_request(network: Network, gateway: Address, index: int) -> Request:
    """Lead ``network`` to a gateway behind a link; EEXIST is the answer when there is a route to it, be it another."""
    scope = _RT_SCOPE_UNIVERSE
    head = (_family(gateway), network.prefixlen, 0, 0, _RT_TABLE_MAIN, ROUTE_PROTOCOL, scope, rt.RTN_UNICAST, 0)
    body = rt.RTMSG.pack(*head) + attribute(_RTA_GATEWAY, gateway.packed) + attribute(rt.RTA_OIF, _U32.pack(index))
    if network.prefixlen:
        body += attribute(rt.RTA_DST, network.network_address.packed)
    return Request(rt.RTM_NEWROUTE, body, NLM_F_CREATE | NLM_F_EXCL)


def lookup_request(address: Address) -> Request:
    """Ask which way a packet to ``address`` takes."""
    head = rt.RTMSG.pack(_family(address), address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    return Request(rt.RTM_GETROUTE, head + attribute(rt.RTA_DST, address.packed))


def decode_link(body: bytes) -> Link:
    """The link in the body of a message.

    Raises:
        KernelError: with EBADMSG, the bytes are not a link.
    """
    if len(body) < rt.IFINFO.size:
        raise malformed("link", 0)
    _, _, index, flags, _ = rt.IFINFO.unpack_from(body)
    found = attributes(body, rt.IFINFO.size)
    kind = attributes(found.get(rt.IFLA_LINKINFO, b"")).get(rt.IFLA_INFO_KIND, b"")
    families = attributes(found.get(rt.IFLA_AF_SPEC, b""))
    v4 = attributes(families.get(rt.AF_INET, b"")).get(_IFLA_INET_CONF, b"")
    v6 = attributes(families.get(rt.AF_INET6, b"")).get(rt.IFLA_INET6_CONF, b"")
    return Link(
        index,
        bool(flags & rt.IFF_UP),
        kind.rstrip(b"\0").decode("ascii", "replace"),
        _number(found.get(rt.IFLA_MTU, b"")),
        frozenset(version for version, settings in ((4, v4), (6, v6)) if _number(settings[: _U32.size])),
    )


def decode_way_out(body: bytes) -> int:
    """The index of the link by which a packet leaves, in the body of an answer to a look-up.

    Raises:
        KernelError: with EBADMSG, the bytes are not a route.
    """
    if len(body) < rt.RTMSG.size:
        raise malformed("route", 0)
    return _number(attributes(body, rt.RTMSG.size).get(rt.RTA_OIF, b""))


def _family(address: Address) -> int:
    return rt.AF_INET if isinstance(address, IPv4Address) else rt.AF_INET6


def _name(name: str) -> bytes:
    return attribute(rt.IFLA_IFNAME, name.encode() + b"\0")


def _number(payload: bytes) -> int:
    """The number in an attribute, 0 where there is none."""
    return int(_U32.unpack(payload)[0]) if len(payload) == _U32.size else 0
