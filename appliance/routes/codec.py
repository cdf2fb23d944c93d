"""Route look-ups as rtnetlink bytes, and what the answers mean.

Layouts are those of ``include/uapi/linux/rtnetlink.h`` (struct rtmsg, RTA_*, RTAX_*, RTN_*), ``if_link.h`` (struct
ifinfomsg, IFLA_*) and ``ipv6.h`` (DEVCONF_*).
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance.model.address import Address, Network
from appliance.netlink import rtnetlink as rt
from appliance.netlink.message import Request, attribute, attributes, malformed

RTN_LOCAL = 2

_U32 = struct.Struct("=I")
_RTA_METRICS = 8
_RTAX_MTU = 2
_DEVCONF_MTU6 = 2


@dataclass(frozen=True, slots=True)
class Route:
    """What a look-up found: the type of the route (RTN_*), the index of the link that it leaves by, and its own MTU.

    ``mtu`` is in bytes, 0 where the route has none and that of the link counts. It may be written in the route, or
    learnt from a router that could not pass on a packet (``rt_fill_info`` in net/ipv4/route.c puts both here).
    """

    kind: int
    link: int = 0
    mtu: int = 0

    @property
    def usable(self) -> bool:
        """Whether packets leave this machine by it."""
        return self.kind == rt.RTN_UNICAST and self.link != rt.LOOPBACK_INDEX


def lookup_request(address: Address) -> Request:
    """Ask which route a packet to ``address`` takes."""
    family = rt.AF_INET if isinstance(address, IPv4Address) else rt.AF_INET6
    head = rt.RTMSG.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    return Request(rt.RTM_GETROUTE, head + attribute(rt.RTA_DST, address.packed))


def link_request(index: int) -> Request:
    """Ask for one link by its index; ENODEV is the answer when there is none."""
    return Request(rt.RTM_GETLINK, rt.IFINFO.pack(0, 0, index, 0, 0))


def decode_route(body: bytes) -> Route:
    """The route in the body of a message.

    Raises:
        KernelError: with EBADMSG, the bytes are not a route.
    """
    if len(body) < rt.RTMSG.size:
        raise malformed("route", 0)
    found = attributes(body, rt.RTMSG.size)
    metrics = attributes(found.get(_RTA_METRICS, b""))
    return Route(body[7], _number(found.get(rt.RTA_OIF, b"")), _number(metrics.get(_RTAX_MTU, b"")))


def decode_link_mtu(body: bytes, version: int) -> int:
    """The largest packet of IP ``version`` that the link in the body of a message takes, in bytes.

    IPv6 has an MTU of its own on every link, which a router may lower (RFC 4861, MTU option).

    Raises:
        KernelError: with EBADMSG, the bytes are not a link, or one without an MTU.
    """
    if len(body) < rt.IFINFO.size:
        raise malformed("link", 0)
    found = attributes(body, rt.IFINFO.size)
    mtu = _number(found.get(rt.IFLA_MTU, b""))
    if not mtu:
        raise malformed("MTU of a link", 0)
    if version == 4:  # noqa: PLR2004 - the IP version
        return mtu
    families = attributes(found.get(rt.IFLA_AF_SPEC, b""))
    settings = attributes(families.get(rt.AF_INET6, b"")).get(rt.IFLA_INET6_CONF, b"")
    return min(mtu, _number(settings[_DEVCONF_MTU6 * _U32.size :][: _U32.size]) or mtu)


def first_host(network: Network) -> Address:
    """The lowest address of ``network`` that a host can have."""
    return network[0] if network.num_addresses <= 2 else network[1]  # noqa: PLR2004  RFC 3021: both of two are hosts


def last_host(network: Network) -> Address:
    """The highest address of ``network`` that a host can have."""
    return network[-1] if network.num_addresses <= 2 or network.version == 6 else network[-2]  # noqa: PLR2004  as above


def _number(payload: bytes) -> int:
    """The number in an attribute, 0 where there is none."""
    return int(_U32.unpack(payload)[0]) if len(payload) == _U32.size else 0
