"""What a server answers to a probe, made without the code under test."""

import struct
from ipaddress import IPv4Address, ip_address
from typing import NamedTuple

from appliance.model.address import Address

SYN, RST, ACK = 0x02, 0x04, 0x10


class Asked(NamedTuple):
    """A probe as the server sees it."""

    source: Address
    source_port: int
    vip: Address
    port: int
    sequence: int
    flags: int


def read(packet: bytes) -> Asked:
    """A probe, taken apart."""
    if packet[0] >> 4 == 4:
        source, vip, segment = ip_address(packet[12:16]), ip_address(packet[16:20]), packet[20:]
    else:
        source, vip, segment = ip_address(packet[8:24]), ip_address(packet[24:40]), packet[40:]
    source_port, port, sequence = struct.unpack_from("!HHI", segment)
    return Asked(source, source_port, vip, port, sequence, segment[13])


def answer(asked: Asked, flags: int = SYN | ACK, *, acknowledgement: int | None = None, options: int = 0) -> bytes:
    """A segment back to who asked; ``options`` are so many words of IPv4 options."""
    number = (asked.sequence + 1) % 2**32 if acknowledgement is None else acknowledgement
    tcp = struct.pack("!HHIIBBHHH", asked.port, asked.source_port, 77, number, 5 << 4, flags, 65535, 0, 0)
    if isinstance(asked.vip, IPv4Address):
        head = struct.pack("!BBHHHBBH", 0x45 + options, 0, 40 + 4 * options, 1, 0x4000, 63, 6, 0)
        return head + asked.vip.packed + asked.source.packed + bytes(4 * options) + tcp
    return struct.pack("!IHBB", 6 << 28, 20, 6, 63) + asked.vip.packed + asked.source.packed + tcp
