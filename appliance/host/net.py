"""What netlink says of this host for the preflight: addresses of all links, features of hardware, our packet filter.

Layouts are those of ``include/uapi/linux/if_addr.h``, ``if_link.h``, ``ethtool_netlink.h`` (Documentation/networking/
ethtool-netlink.rst) and ``netfilter/nf_tables.h``.
"""

import errno
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

from appliance.errors import KernelError
from appliance.model.address import Address, Network
from appliance.model.host import Nic, OwnAddress
from appliance.netlink import rtnetlink as rt
from appliance.netlink.message import Request, attribute, attributes, malformed
from appliance.netlink.transport import NETLINK_GENERIC, NETLINK_ROUTE, NetlinkSocket

rt.IFA_ADDRESS, rt.IFA_LOCAL = 1, 2

_GENERIC = struct.Struct("=BBxx")
_U32 = struct.Struct("=I")
_GENL_ID_CTRL, _CTRL_GETFAMILY, _CTRL_ATTR_ID, _CTRL_ATTR_NAME = 0x10, 3, 1, 2
_FEATURES_GET, _RINGS_GET = 11, 15
_HEADER, _HEADER_NAME = 1, 2
_NESTED = 0x8000
_FEATURES_ACTIVE = 4
_RINGS_RX_MAX, _RINGS_RX = 2, 6
_BITSET_BITS, _BIT, _BIT_NAME = 3, 1, 2
_LRO = b"rx-lro"

_NETLINK_NETFILTER = 12
_GETTABLE = 10 << 8 | 1
_NFGENMSG = struct.Struct("=BBH")
_NFPROTO_INET, _TABLE_NAME = 1, 1
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF


def own_addresses() -> tuple[OwnAddress, ...]:
    """Every address of this network namespace that means something beyond its link, in the kernel's order.

    Raises:
        KernelError: the kernel refused, or no complete reading came about.
    """
    with NetlinkSocket(NETLINK_ROUTE) as netlink:
        bodies = netlink.dump(Request(rt.RTM_GETADDR, rt.IFADDR.pack(0, 0, 0, 0, 0)), "addresses")
    names = dict(socket.if_nameindex())
    return tuple(each for body in bodies if (each := decode_own_address(body, names)) is not None)


def decode_own_address(body: bytes, names: dict[int, str]) -> OwnAddress | None:
    """The address in the body of a message; None for loopback and link-local ones.

    Raises:
        KernelError: with EBADMSG, the bytes are not an address.
    """
    if len(body) < rt.IFADDR.size:
        raise malformed("address", 0)
    _family, prefix, _flags, _scope, index = rt.IFADDR.unpack_from(body)
    found = attributes(body, rt.IFADDR.size)
    try:
        address: Address = ip_address(found.get(rt.IFA_LOCAL, found.get(rt.IFA_ADDRESS, b"")))
        network: Network = ip_network((address, prefix), strict=False)
    except ValueError:
        raise malformed("address", 0) from None
    if address.is_loopback or address.is_link_local:
        return None
    return OwnAddress(address, network, names.get(index, f"link {index}"))


def with_features(nic: Nic) -> Nic:
    """The link with what its driver tells of LRO and receive rings; what it does not tell stays unknown.

    Raises:
        KernelError: the kernel takes no requests, or its answer cannot be read.
    """
    with NetlinkSocket(NETLINK_GENERIC) as netlink:
        name = _GENERIC.pack(_CTRL_GETFAMILY, 1) + attribute(_CTRL_ATTR_NAME, b"ethtool\0")
        (family,) = netlink.transact([Request(_GENL_ID_CTRL, name)])
        if family.errno or not family.replies:
            return nic
        kind = int.from_bytes(attributes(family.replies[0], _GENERIC.size)[_CTRL_ATTR_ID], sys.byteorder)
        header = attribute(_HEADER | _NESTED, attribute(_HEADER_NAME, nic.name.encode() + b"\0"))
        asked = [Request(kind, _GENERIC.pack(command, 1) + header) for command in (_FEATURES_GET, _RINGS_GET)]
        features, rings = netlink.transact(asked)
    if not features.errno and features.replies:
        nic = replace(nic, lro=decode_lro(features.replies[0]))
    if not rings.errno and rings.replies:
        found = attributes(rings.replies[0], _GENERIC.size)
        nic = replace(nic, rx_ring=_number(found.get(_RINGS_RX)), rx_ring_max=_number(found.get(_RINGS_RX_MAX)))
    return nic


def decode_lro(body: bytes) -> bool:
    """Whether LRO is among the active features in an answer to FEATURES_GET, whose bits go by their names.

    Raises:
        KernelError: with EBADMSG, the bytes are not such an answer.
    """
    active = attributes(attributes(body, _GENERIC.size).get(_FEATURES_ACTIVE, b""))
    bits = _repeated(active.get(_BITSET_BITS, b""), _BIT)
    return any(attributes(bit).get(_BIT_NAME, b"").rstrip(b"\0") == _LRO for bit in bits)


def _repeated(data: bytes, kind: int) -> Iterator[bytes]:
    """The payloads of the attributes of one kind: a list, which ``attributes`` would take for one."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, found = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise malformed("list", at)
        if found & _TYPE_MASK == kind:
            yield data[at + _ATTRIBUTE.size : at + length]
        at += length + (-length % 4)


def _number(payload: bytes | None) -> int | None:
    return int(_U32.unpack(payload)[0]) if payload is not None and len(payload) == _U32.size else None


def guarded(table: str) -> bool | None:
    """Whether nftables has our table in this network namespace; None where that may not be asked.

    Raises:
        KernelError: the kernel takes no requests at all.
    """
    request = Request(_GETTABLE, _NFGENMSG.pack(_NFPROTO_INET, 0, 0) + attribute(_TABLE_NAME, table.encode() + b"\0"))
    try:
        with NetlinkSocket(_NETLINK_NETFILTER) as netlink:
            (answer,) = netlink.transact([request])
    except KernelError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return False
        raise
    return {0: True, errno.ENOENT: False, errno.EPERM: None}.get(answer.errno, False)
