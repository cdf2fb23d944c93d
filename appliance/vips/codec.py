"""Links and addresses as rtnetlink bytes, and back.

Layouts are those of ``include/uapi/linux/if_link.h`` (struct ifinfomsg, IFLA_*) and ``if_addr.h`` (struct ifaddrmsg,
IFA_*).
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from appliance.model.address import Address
from appliance.netlink import rtnetlink as rt
from appliance.netlink.message import NLM_F_CREATE, NLM_F_EXCL, Request, attribute, attributes, malformed

DUMMY = "dummy"
ROUTE_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE."""


_CACHE_INFO = struct.Struct("=IIII")
_U32 = struct.Struct("=I")


_IFA_CACHEINFO = 6
_IFA_F_DADFAILED = 0x08
_IFA_F_TENTATIVE = 0x40

_SCOPE_UNIVERSE = 0
_SCOPE_LINK = 253
_FOREVER = 0xFFFFFFFF

_AF_UNSPEC = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A network link: ``kind`` is the driver's word (``dummy``), empty for hardware."""

    index: int
    up: bool
    kind: str


def link_request(name: str) -> Request:
    """Ask for one link by its name; ENODEV is the answer when there is none."""
    return Request(rt.RTM_GETLINK, _ifinfo(0) + attribute(rt.IFLA_IFNAME, name.encode() + b"\0"))


def create_dummy_request(name: str) -> Request:
    """Make a dummy link that is up; EEXIST is the answer when there is a link of that name."""
    kind = attribute(rt.IFLA_LINKINFO, attribute(rt.IFLA_INFO_KIND, DUMMY.encode() + b"\0"))
    body = _ifinfo(0, flags=rt.IFF_UP) + attribute(rt.IFLA_IFNAME, name.encode() + b"\0") + kind
    return Request(rt.RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL)


def set_up_request(index: int) -> Request:
    """Set a link up."""
    return Request(rt.RTM_NEWLINK, _ifinfo(index, flags=rt.IFF_UP))


def add_address_request(index: int, address: Address) -> Request:
    """Put a one-host address on a link.

    The node must not speak from a VIP of its own accord: an IPv4 one gets link scope, an IPv6 one a preferred life of
    0, and source address selection passes over both. IPv6 duplicate detection would find the other directors.
    """
    scope = _SCOPE_LINK if isinstance(address, IPv4Address) else _SCOPE_UNIVERSE
    body = _ifaddr(index, address, scope)
    if isinstance(address, IPv6Address):
        body += attribute(rt.IFA_FLAGS, _U32.pack(rt.IFA_F_NODAD))
        body += attribute(_IFA_CACHEINFO, _CACHE_INFO.pack(0, _FOREVER, 0, 0))
    return Request(rt.RTM_NEWADDR, body, NLM_F_CREATE | NLM_F_EXCL)


def remove_address_request(index: int, address: Address) -> Request:
    """Take a one-host address off a link; EADDRNOTAVAIL is the answer when it is not there."""
    return Request(rt.RTM_DELADDR, _ifaddr(index, address, _SCOPE_UNIVERSE))


def addresses_request() -> Request:
    """Dump the addresses of all links."""
    return Request(rt.RTM_GETADDR, rt.IFADDR.pack(_AF_UNSPEC, 0, 0, 0, 0))


def decode_link(body: bytes) -> Link:
    """The link in the body of a message.

    Raises:
        KernelError: with EBADMSG, the bytes are not a link.
    """
    if len(body) < rt.IFINFO.size:
        raise malformed("link", 0)
    _family, _type, index, flags, _change = rt.IFINFO.unpack_from(body)
    info = attributes(attributes(body, rt.IFINFO.size).get(rt.IFLA_LINKINFO, b""))
    kind = info.get(rt.IFLA_INFO_KIND, b"").rstrip(b"\0").decode("ascii", "replace")
    return Link(index, bool(flags & rt.IFF_UP), kind)


def decode_address(body: bytes, index: int) -> Address | None:
    """The address in the body of a message, if it is a usable one-host address on link ``index``; otherwise None.

    An IPv6 address that is still tentative, or failed duplicate detection, answers nobody.

    Raises:
        KernelError: with EBADMSG, the bytes are not an address.
    """
    if len(body) < rt.IFADDR.size:
        raise malformed("address", 0)
    family, prefix, flags, _scope, link = rt.IFADDR.unpack_from(body)
    found = attributes(body, rt.IFADDR.size)
    packed = found.get(rt.IFA_LOCAL, found.get(rt.IFA_ADDRESS, b""))
    wide = found.get(rt.IFA_FLAGS, b"")
    if len(wide) == _U32.size:
        flags = int(_U32.unpack(wide)[0])
    if link != index or prefix != len(packed) * 8 or flags & (_IFA_F_DADFAILED | _IFA_F_TENTATIVE):
        return None
    return _address(family, packed)


def decode_elsewhere(body: bytes, index: int) -> Address | None:
    """The address in the body of a message, if it is on another link than ``index`` and known beyond it.

    Raises:
        KernelError: with EBADMSG, the bytes are not an address.
    """
    if len(body) < rt.IFADDR.size:
        raise malformed("address", 0)
    family, _prefix, _flags, _scope, link = rt.IFADDR.unpack_from(body)
    if link == index:
        return None
    found = attributes(body, rt.IFADDR.size)
    address = _address(family, found.get(rt.IFA_LOCAL, found.get(rt.IFA_ADDRESS, b"")))
    return None if address is None or address.is_loopback or address.is_link_local else address


def _address(family: int, packed: bytes) -> Address | None:
    if family == rt.AF_INET and len(packed) == IPv4Address(0).max_prefixlen // 8:
        return IPv4Address(packed)
    if family == rt.AF_INET6 and len(packed) == IPv6Address(0).max_prefixlen // 8:
        return IPv6Address(packed)
    return None


def _ifinfo(index: int, flags: int = 0) -> bytes:
    """The head of a link message; the flags that are set are also those to change."""
    return rt.IFINFO.pack(_AF_UNSPEC, 0, index, flags, flags)


def _ifaddr(index: int, address: Address, scope: int) -> bytes:
    family = rt.AF_INET if isinstance(address, IPv4Address) else rt.AF_INET6
    head = rt.IFADDR.pack(family, address.max_prefixlen, 0, scope, index)
    return head + attribute(rt.IFA_LOCAL, address.packed) + attribute(rt.IFA_ADDRESS, address.packed)
