"""Probes as bytes: the packets inside the tunnel, their answers, and the filter that picks answers out of the traffic.

Layouts are those of RFC 791, 8200 and 9293; the filter is classic BPF (``include/uapi/linux/filter.h``).
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from appliance.model.address import Address

FIRST_PORT, LAST_PORT = 61000, 65535
"""Source ports of probes: above those that Linux hands out to connections (net.ipv4.ip_local_port_range)."""

SYN, RST, ACK = 0x02, 0x04, 0x10

_FIN = 0x01
_KIND = _FIN | SYN | RST | ACK
_TCP = 6
_V4 = struct.Struct("!BBHHHBBH4s4s")
_V6 = struct.Struct("!IHBB16s16s")
_SEGMENT = struct.Struct("!HHIIBBHHH")
_HOP_LIMIT = 1
"""A server that took the VIP off its tunnel and forwards would else send the probe back to a director, which would
hand it to a server that is well. Local delivery does not look at it (ip_forward, ip6_forward do)."""
_DONT_FRAGMENT = 0x4000
_WINDOW = 1024
_U16 = 0xFFFF


class Flow(NamedTuple):
    """The two ends of a probe, addresses as bytes: this node's, and the VIP's."""

    source: bytes
    source_port: int
    vip: bytes
    port: int


class Reply(NamedTuple):
    """A TCP segment that answers a probe, if there is one of that flow and ``acknowledgement``."""

    flow: Flow
    acknowledgement: int
    flags: int

    @property
    def accepts(self) -> bool:
        """Whether it is the SYN-ACK of a server that listens."""
        return self.flags & _KIND == SYN | ACK


def segment(flow: Flow, sequence: int, flags: int) -> bytes:
    """The inner packet with one TCP segment of ``flow``, from this node to the VIP: IPv4 or IPv6 by its addresses."""
    tcp = _SEGMENT.pack(flow.source_port, flow.port, sequence, 0, 5 << 4, flags, _WINDOW, 0, 0)
    pseudo = flow.source + flow.vip + struct.pack("!II", _TCP, len(tcp))
    tcp = _SEGMENT.pack(
        flow.source_port, flow.port, sequence, 0, 5 << 4, flags, _WINDOW, checksum(pseudo + tcp), 0
    )  # fmt: skip
    if len(flow.vip) == 16:  # noqa: PLR2004 - bytes of an IPv6 address
        return _V6.pack(6 << 28, len(tcp), _TCP, _HOP_LIMIT, flow.source, flow.vip) + tcp
    head = (0x45, 0, _V4.size + len(tcp), 0, _DONT_FRAGMENT, _HOP_LIMIT, _TCP)
    blank = _V4.pack(*head, 0, flow.source, flow.vip)
    return _V4.pack(*head, checksum(blank), flow.source, flow.vip) + tcp


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071) of an even number of bytes that are not all zero.

    The ones' complement sum of 16-bit words is the remainder of the whole number by 65535, since 2**16 leaves 1.
    """
    return _U16 - (int.from_bytes(data, "big") % _U16 or _U16)


def parse(packet: bytes) -> Reply | None:
    """The TCP segment in a packet from its network header on; None for anything else, and for what is cut short."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= _V4.size:  # noqa: PLR2004 - the IP version
        protocol, source, destination = packet[9], packet[12:16], packet[16:20]
        start = (packet[0] & 0x0F) * 4
    elif version == 6 and len(packet) >= _V6.size:  # noqa: PLR2004 - the IP version
        protocol, source, destination = packet[6], packet[8:24], packet[24:40]
        start = _V6.size
    else:
        return None
    if protocol != _TCP or len(packet) < start + _SEGMENT.size:
        return None
    port, source_port, _, acknowledgement, _, flags, *_ = _SEGMENT.unpack_from(packet, start)
    return Reply(Flow(destination, source_port, source, port), acknowledgement, flags)


def flow(source: Address, source_port: int, vip: Address, port: int) -> Flow:
    """The ends of a probe."""
    return Flow(source.packed, source_port, vip.packed, port)


class _Op(NamedTuple):
    """One instruction: what, where to jump if true and if false (instructions to skip), and its operand."""

    code: int
    yes: int = 0
    no: int = 0
    value: int = 0


_LOAD_BYTE, _LOAD_HALF, _LOAD_BYTE_X, _LOAD_HALF_X, _HEADER_LENGTH_TO_X = 0x30, 0x28, 0x50, 0x48, 0xB1
_IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _AND, _RETURN = 0x15, 0x35, 0x45, 0x54, 0x06
_INSTRUCTION = struct.Struct("=HBBI")
_HEADERS_BYTES = 128
"""Of an accepted packet its first bytes: the longest IPv4 header and the fixed part of TCP's take 80."""

NOTHING = _INSTRUCTION.pack(*_Op(_RETURN))
"""The filter that lets nothing through: for a socket that only sends."""


def reply_filter(version: int, mark: int) -> bytes:
    """The filter for answers in IPv``version`` packets that begin with the network header: SYN-ACK or RST-ACK to us.

    ``mark`` (0 to 65534) is the lower half of every probe's sequence number. Who does not know it may flood this node
    with answers to nothing, and the kernel drops them.
    """
    if version == 4:  # noqa: PLR2004 - the IP version
        load_half, load_byte, start = _LOAD_HALF_X, _LOAD_BYTE_X, 0
        begin = [_Op(_LOAD_BYTE, value=9), _Op(_IF_EQUAL, 0, 11, _TCP)]
        begin += [_Op(_LOAD_HALF, value=6), _Op(_IF_ANY_BIT, 9, 0, 0x1FFF), _Op(_HEADER_LENGTH_TO_X)]
    else:
        load_half, load_byte, start = _LOAD_HALF, _LOAD_BYTE, _V6.size
        begin = [_Op(_LOAD_BYTE, value=6), _Op(_IF_EQUAL, 0, 8, _TCP)]
    return _assembled(
        [
            *begin,
            _Op(load_half, value=start + 2),
            _Op(_IF_AT_LEAST, 0, 6, FIRST_PORT),
            _Op(load_half, value=start + 10),
            _Op(_IF_EQUAL, 0, 4, mark + 1),
            _Op(load_byte, value=start + 13),
            _Op(_AND, value=_KIND),
            _Op(_IF_EQUAL, 2, 0, SYN | ACK),
            _Op(_IF_EQUAL, 1, 0, RST | ACK),
            _Op(_RETURN, value=0),
            _Op(_RETURN, value=_HEADERS_BYTES),
        ]
    )


def _assembled(program: Sequence[_Op]) -> bytes:
    return b"".join(_INSTRUCTION.pack(*op) for op in program)
