"""Packets as a host of the lab saw them."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from tests.lab.hosts import Host

Address = IPv4Address | IPv6Address
ETH_P_ALL = 3  # linux/if_ether.h
IPPROTO_IPIP = 4
IPPROTO_IPV6 = 41
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; SO_RCVBUF stops at net.core.rmem_max
RECEIVE_BUFFER_BYTES = 8 << 20
SYN, ACK = 0x02, 0x10


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet at one interface. ``tunnel`` is the outer source and destination, where there is an outer header."""

    interface: str
    source: Address
    destination: Address
    protocol: int
    source_port: int = 0
    destination_port: int = 0
    tcp_flags: int = 0
    tunnel: tuple[Address, Address] | None = None

    @property
    def is_syn(self) -> bool:
        return self.tcp_flags & (SYN | ACK) == SYN

    @property
    def is_syn_ack(self) -> bool:
        return self.tcp_flags & (SYN | ACK) == SYN | ACK


@contextlib.contextmanager
def capture(host: Host) -> Iterator[list[Packet]]:
    """Every packet at every interface of ``host`` during the block; the list is filled when the block ends."""
    packets: list[Packet] = []
    with capture_bytes(host) as seen:
        yield packets
    packets += [packet for interface, data in seen if (packet := parse(interface, data))]


@contextlib.contextmanager
def capture_bytes(host: Host) -> Iterator[list[tuple[str, bytes]]]:
    """The same as ``capture``: each interface and packet, from its network header on, as bytes."""
    seen: list[tuple[str, bytes]] = []
    # SOCK_DGRAM: from the network header on, the same for links with and without an Ethernet header.
    with host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        yield seen
        tap.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                data, place = tap.recvfrom(65536)
                seen.append((place[0], data))


def parse(interface: str, data: bytes) -> Packet | None:
    """Read a packet from its network header on; None for what is neither IPv4 nor IPv6.

    IPv6 extension headers are not followed: nothing in the lab sends them, except tunnels (destination options with
    the encapsulation limit, RFC 2473), which are skipped.
    """
    version = data[0] >> 4 if data else 0
    if version == 4:
        protocol, source, destination = data[9], ip_address(data[12:16]), ip_address(data[16:20])
        payload = data[(data[0] & 0x0F) * 4 :]
    elif version == 6:
        protocol, source, destination = data[6], ip_address(data[8:24]), ip_address(data[24:40])
        payload = data[40:]
        if protocol == socket.IPPROTO_DSTOPTS:
            protocol, payload = payload[0], payload[(payload[1] + 1) * 8 :]
    else:
        return None
    if protocol in (IPPROTO_IPIP, IPPROTO_IPV6):
        inner = parse(interface, payload)
        return replace(inner, tunnel=(source, destination)) if inner else None
    packet = Packet(interface, source, destination, protocol)
    if protocol not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        return packet
    source_port, destination_port = struct.unpack_from("!HH", payload)
    flags = payload[13] if protocol == socket.IPPROTO_TCP else 0
    return replace(packet, source_port=source_port, destination_port=destination_port, tcp_flags=flags)
