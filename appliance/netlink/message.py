"""Netlink messages and attributes as bytes: the framing that every netlink family shares.

Layouts are those of ``include/uapi/linux/netlink.h``: everything in host byte order, padded to four bytes.
"""

import errno
import struct
from collections.abc import Iterator
from typing import NamedTuple

from appliance.errors import KernelError

NLMSG_ERROR = 2
NLMSG_DONE = 3

NLM_F_REQUEST = 0x01
NLM_F_ACK = 0x04
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_INT = struct.Struct("=i")
_ACK = struct.Struct("=IHHIIi16x")
_new = tuple.__new__

_TYPE_MASK = 0x3FFF
"""NLA_TYPE_MASK: the upper two bits of an attribute's type say how it is coded, not what it is."""


class Request(NamedTuple):
    """One question or order to the kernel; ``flags`` beyond REQUEST and ACK, which every request gets."""

    type: int
    body: bytes
    flags: int = 0


class Message(NamedTuple):
    """One message of a received datagram."""

    type: int
    flags: int
    sequence: int
    body: bytes


def message(request: Request, sequence: int, flags: int) -> bytes:
    """The bytes of ``request``. A body is made of padded attributes, so it needs no padding of its own."""
    return (
        _HEADER.pack(_HEADER.size + len(request.body), request.type, request.flags | flags, sequence, 0) + request.body
    )


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes; a nest is an attribute whose payload is attributes."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(payload), kind) + payload + bytes(-len(payload) % 4)


def messages(datagram: bytes) -> Iterator[Message]:
    """Take a datagram apart.

    Raises:
        KernelError: with EBADMSG, a length in it cannot be.
    """
    at, end = 0, len(datagram)
    while at < end:
        if end - at < _HEADER.size:
            raise malformed("message", at)
        length, kind, flags, sequence, _port = _HEADER.unpack_from(datagram, at)
        if not _HEADER.size <= length <= end - at:
            raise malformed("message", at)
        # Message's own constructor costs more than all the rest, and a table has tens of thousands of messages.
        yield _new(Message, (kind, flags, sequence, datagram[at + _HEADER.size : at + length]))
        at += length + 3 & ~3


def acknowledged(datagram: bytes) -> int | None:
    """The sequence number of the request that this datagram acknowledges, if that is all it holds; otherwise None.

    Nearly every answer to tens of thousands of orders is one, without the request that it answers (NETLINK_CAP_ACK).
    """
    if len(datagram) != _ACK.size:
        return None
    length, kind, _flags, sequence, _port, number = _ACK.unpack(datagram)
    return sequence if kind == NLMSG_ERROR and number == 0 and length == _ACK.size else None


def attributes(data: bytes, start: int = 0) -> dict[int, bytes]:
    """The attributes in ``data`` from ``start`` on, payloads by type; of two of one type the last counts.

    Raises:
        KernelError: with EBADMSG, a length in it cannot be.
    """
    found: dict[int, bytes] = {}
    at, end = start, len(data)
    while at < end:
        if end - at < _ATTRIBUTE.size:
            raise malformed("attribute", at)
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= end - at:
            raise malformed("attribute", at)
        found[kind & _TYPE_MASK] = data[at + _ATTRIBUTE.size : at + length]
        at += length + (-length % 4)
    return found


def error_number(body: bytes) -> int:
    """The positive error number in the body of an NLMSG_ERROR or NLMSG_DONE; 0 is success.

    Raises:
        KernelError: with EBADMSG, the body is too short for a number.
    """
    if len(body) < _INT.size:
        raise malformed("answer", 0)
    return -int(_INT.unpack_from(body)[0])


def malformed(what: str, at: int) -> KernelError:
    """The error for bytes that are not what the kernel's headers promise."""
    return KernelError("decode netlink", f"{what} at byte {at}", errno.EBADMSG, hint="is this kernel supported?")
