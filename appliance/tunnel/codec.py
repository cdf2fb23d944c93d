"""Tunnel devices, default routes and GUE listeners as netlink bytes, and back.

Layouts are those of ``include/uapi/linux``: ``if_link.h`` and ``ip.h`` (IFLA_INET_CONF is an array that begins with
IPV4_DEVCONF_FORWARDING), ``netconf.h`` (struct netconfmsg, NETCONFA_*), ``rtnetlink.h`` (RTA_*, RTAX_MTU), ``fou.h``
(FOU_CMD_*, FOU_ATTR_*) and ``genetlink.h`` (CTRL_*).
"""

import struct
from dataclasses import dataclass
from ipaddress import ip_address

from appliance.model.address import Address
from appliance.model.tunnel import DEVICES, Listener
from appliance.netlink import rtnetlink as rt
from appliance.netlink.message import NLM_F_CREATE, NLM_F_EXCL, Request, attribute, attributes, malformed

_U16 = struct.Struct("=H")
_U32 = struct.Struct("=I")
_PORT = struct.Struct(">H")

_KINDS = {DEVICES[4]: b"ipip", DEVICES[6]: b"ip6tnl"}
_FAMILIES = {4: rt.AF_INET, 6: rt.AF_INET6}
_VERSIONS = {family: version for version, family in _FAMILIES.items()}

_ADDRESS_BYTES = frozenset({4, 16})

_IFLA_INET_CONF = 1
_IPV4_DEVCONF_RP_FILTER = 8
_RTM_GETNETCONF = 82
_NETCONFA_IFINDEX = 1
_NETCONFA_RP_FILTER = 3
_ALL_LINKS = struct.Struct("=i").pack(-1)

_RTA_PRIORITY = 6
_RTA_METRICS = 8
_RTAX_MTU = 2

_GENL = struct.Struct("=BBxx")
_GENL_ID_CTRL = 16
_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_ID = 1
_CTRL_ATTR_FAMILY_NAME = 2
_FOU_CMD_ADD, _FOU_CMD_DEL, _FOU_CMD_GET = 1, 2, 3
_FOU_ATTR_PORT, _FOU_ATTR_AF, _FOU_ATTR_TYPE = 1, 2, 4
_FOU_ENCAP_GUE = 2


@dataclass(frozen=True, slots=True)
class Link:
    """A link; ``rp_filter`` is its own reverse-path filter."""

    index: int
    name: str
    up: bool
    mtu_bytes: int
    rp_filter: int


@dataclass(frozen=True, slots=True)
class Placed:
    """An address and the link on which it stands; ``is_one_host``: as a /32 or /128."""

    link: int
    address: Address
    is_one_host: bool


@dataclass(frozen=True, slots=True)
class DefaultRoute:
    """A default route: its link, its metric (the smallest counts), the MTU that it sets itself, 0 for none."""

    link: int
    metric: int
    mtu_bytes: int


def links_request() -> Request:
    """Dump all links."""
    return Request(rt.RTM_GETLINK, rt.IFINFO.pack(0, 0, 0, 0, 0))


def routes_request() -> Request:
    """Dump the routes of both IP versions."""
    return Request(rt.RTM_GETROUTE, rt.RTMSG.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))


def settings_request() -> Request:
    """Ask for the IPv4 settings that count for all links."""
    return Request(_RTM_GETNETCONF, bytes([rt.AF_INET, 0, 0, 0]) + attribute(_NETCONFA_IFINDEX, _ALL_LINKS))


def create_request(device: str) -> Request:
    """Make a tunnel device for any remote end; EEXIST is the answer where it is there."""
    info = attribute(rt.IFLA_LINKINFO, attribute(rt.IFLA_INFO_KIND, _KINDS[device] + b"\0"))
    name = attribute(rt.IFLA_IFNAME, device.encode() + b"\0")
    return Request(rt.RTM_NEWLINK, rt.IFINFO.pack(0, 0, 0, 0, 0) + name + info, NLM_F_CREATE | NLM_F_EXCL)


def up_request(index: int, *, up: bool) -> Request:
    """Set a link up or down."""
    return Request(rt.RTM_NEWLINK, rt.IFINFO.pack(0, 0, index, rt.IFF_UP if up else 0, rt.IFF_UP))


def mtu_request(index: int, mtu_bytes: int) -> Request:
    """Give a link another MTU."""
    return Request(rt.RTM_NEWLINK, rt.IFINFO.pack(0, 0, index, 0, 0) + attribute(rt.IFLA_MTU, _U32.pack(mtu_bytes)))


def reverse_path_request(index: int, value: int) -> Request:
    """Set a link's reverse-path filter (``inet_set_link_af``): no file of /proc/sys, which may be read-only."""
    setting = attribute(_IFLA_INET_CONF, attribute(_IPV4_DEVCONF_RP_FILTER, _U32.pack(value)))
    return Request(
        rt.RTM_NEWLINK, rt.IFINFO.pack(0, 0, index, 0, 0) + attribute(rt.IFLA_AF_SPEC, attribute(rt.AF_INET, setting))
    )


def decode_link(body: bytes) -> Link:
    """The link in the body of a message.

    Raises:
        KernelError: with EBADMSG, the bytes are not a link.
    """
    if len(body) < rt.IFINFO.size:
        raise malformed("link", 0)
    _, _, index, flags, _ = rt.IFINFO.unpack_from(body)
    found = attributes(body, rt.IFINFO.size)
    settings = attributes(attributes(found.get(rt.IFLA_AF_SPEC, b"")).get(rt.AF_INET, b"")).get(_IFLA_INET_CONF, b"")
    at = (_IPV4_DEVCONF_RP_FILTER - 1) * _U32.size
    return Link(
        index,
        found.get(rt.IFLA_IFNAME, b"").rstrip(b"\0").decode("ascii", "replace"),
        bool(flags & rt.IFF_UP),
        _number(found.get(rt.IFLA_MTU, b"")),
        _number(settings[at : at + _U32.size]),
    )


def decode_address(body: bytes) -> Placed:
    """The address in the body of a message.

    Raises:
        KernelError: with EBADMSG, the bytes are not an address.
    """
    if len(body) < rt.IFADDR.size:
        raise malformed("address", 0)
    _, prefix, _, _, link = rt.IFADDR.unpack_from(body)
    found = attributes(body, rt.IFADDR.size)
    packed = found.get(rt.IFA_LOCAL, found.get(rt.IFA_ADDRESS, b""))
    if len(packed) not in _ADDRESS_BYTES:
        raise malformed("address", rt.IFADDR.size)
    return Placed(link, ip_address(packed), prefix == len(packed) * 8)


def decode_default_route(body: bytes) -> DefaultRoute | None:
    """The route in the body of a message, if it is a default route of the main table with a link of its own.

    Raises:
        KernelError: with EBADMSG, the bytes are not a route.
    """
    if len(body) < rt.RTMSG.size:
        raise malformed("route", 0)
    _, length, _, _, _, _, _, kind, _ = rt.RTMSG.unpack_from(body)
    found = attributes(body, rt.RTMSG.size)
    if length or kind != rt.RTN_UNICAST or rt.RTA_OIF not in found:
        return None
    metrics = attributes(found.get(_RTA_METRICS, b""))
    numbers = (found[rt.RTA_OIF], found.get(_RTA_PRIORITY, b""), metrics.get(_RTAX_MTU, b""))
    return DefaultRoute(*map(_number, numbers))


def decode_settings(body: bytes) -> int:
    """The reverse-path filter for all links, in the body of an answer.

    Raises:
        KernelError: with EBADMSG, the bytes are no settings.
    """
    if len(body) < _U32.size:
        raise malformed("settings", 0)
    return _number(attributes(body, _U32.size).get(_NETCONFA_RP_FILTER, b""))


def fou_family_request() -> Request:
    """Ask for the number of the generic-netlink family fou; ENOENT where the module is not loaded."""
    return Request(_GENL_ID_CTRL, _GENL.pack(_CTRL_CMD_GETFAMILY, 1) + attribute(_CTRL_ATTR_FAMILY_NAME, b"fou\0"))


def decode_family(body: bytes) -> int:
    """The number of a generic-netlink family.

    Raises:
        KernelError: with EBADMSG, the bytes hold none.
    """
    packed = attributes(body, _GENL.size).get(_CTRL_ATTR_FAMILY_ID, b"")
    if len(packed) != _U16.size:
        raise malformed("family", 0)
    return int(_U16.unpack(packed)[0])


def listener_request(family: int, listener: Listener, *, is_open: bool) -> Request:
    """Open or close a listener; EADDRINUSE is the answer where something else has the port."""
    command = _FOU_CMD_ADD if is_open else _FOU_CMD_DEL
    body = _GENL.pack(command, 1)
    body += attribute(_FOU_ATTR_PORT, _PORT.pack(listener.port))
    body += attribute(_FOU_ATTR_AF, bytes([_FAMILIES[listener.version]]))
    body += attribute(_FOU_ATTR_TYPE, bytes([_FOU_ENCAP_GUE])) if is_open else b""
    return Request(family, body)


def listeners_request(family: int) -> Request:
    """Dump the listeners."""
    return Request(family, _GENL.pack(_FOU_CMD_GET, 1))


def decode_listener(body: bytes) -> Listener | None:
    """The listener in the body of a message, if it takes GUE apart."""
    found = attributes(body, _GENL.size)
    version = _VERSIONS.get(found.get(_FOU_ATTR_AF, b"\0")[0])
    packed = found.get(_FOU_ATTR_PORT, b"")
    if version is None or len(packed) != _PORT.size or found.get(_FOU_ATTR_TYPE) != bytes([_FOU_ENCAP_GUE]):
        return None
    return Listener(version, int(_PORT.unpack(packed)[0]))


def _number(payload: bytes) -> int:
    """The number in an attribute, 0 where there is none."""
    return int(_U32.unpack(payload)[0]) if len(payload) == _U32.size else 0
