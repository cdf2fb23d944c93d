"""GUE and GRE in the lab: servers that take them apart, and their headers as they were on the wire."""

import struct
import subprocess
from dataclasses import dataclass
from ipaddress import ip_address

from tests.lab.capture import Packet, parse
from tests.lab.plan import Address
from tests.lab.topology import Server

GUE_PORT = 6080
MODULES = ("fou", "fou6", "sit", "ip_gre", "ip6_gre")
IPPROTO_IPIP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6, IPPROTO_GRE = 4, 6, 17, 41, 47
ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
GRE_CHECKSUM = 0x8000  # RFC 2784
GUE_PRIVATE, GUE_REMOTE_CHECKSUM = 0x0001, 0x80000000  # GUE_FLAG_PRIV and GUE_PFLAG_REMCSUM in net/gue.h


def load_modules() -> None:
    """What a server's kernel needs; namespaces that are made later have the devices."""
    subprocess.run(["modprobe", "-a", *MODULES], check=True)


def take_apart(server: Server, *, gre_checksums: bool = False) -> None:
    """Have a server take any tunnel of IPVS apart, for VIPs of either IP version; the user guide says the same.

    GRE comes either with checksums or without: a device takes the one or the other.
    """
    server.run(["ip", "fou", "add", "port", str(GUE_PORT), "gue"])
    server.run(["ip", "-6", "fou", "add", "port", str(GUE_PORT), "gue"])
    server.run(["ip", "-6", "tunnel", "change", "ip6tnl0", "mode", "any"])
    devices = ["sit0", "gre0", "ip6gre0"]
    if gre_checksums:
        server.ip(
            f"link add gresum type gre local {server.address4} icsum",
            f"link add gresum6 type ip6gre local {server.address6} icsum",
        )
        devices += ["gresum", "gresum6"]
    server.ip(*(f"link set {device} up" for device in devices))
    for device in ("sit0", "gre0", *(["gresum"] if gre_checksums else [])):
        server.sysctl(f"net.ipv4.conf.{device}.rp_filter", 0)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A packet in a tunnel: what is around it, and what it is.

    ``kind`` is ipip, gue or gre; ``header_bytes`` is everything before the packet. ``checksum`` is the one of UDP or of
    GRE, and None where the latter has none; ``remote_checksum`` says whether the receiver has to put the inner one in.
    """

    kind: str
    source: Address
    destination: Address
    header_bytes: int
    inner: Packet
    udp_port: int = 0
    checksum: int | None = None
    remote_checksum: bool = False


def unwrap(data: bytes) -> Wrapped | None:
    """What is in the tunnel; None where the packet is in none."""
    if data[0] >> 4 == 4:
        size, protocol, source, destination = 20, data[9], data[12:16], data[16:20]
    else:
        size, protocol, source, destination = 40, data[6], data[8:24], data[24:40]
    ends, payload = (ip_address(source), ip_address(destination)), data[size:]
    if protocol in (IPPROTO_IPIP, IPPROTO_IPV6):
        return _wrapped("ipip", ends, size, payload)
    if protocol == IPPROTO_GRE:
        flags, _kind = struct.unpack_from("!HH", payload)
        if not flags & GRE_CHECKSUM:
            return _wrapped("gre", ends, size + 4, payload[4:])
        (checksum,) = struct.unpack_from("!H", payload, 4)
        return _wrapped("gre", ends, size + 8, payload[8:], checksum=checksum)
    if protocol == IPPROTO_UDP and struct.unpack_from("!H", payload, 2)[0] == GUE_PORT:
        return _gue(ends, size, payload)
    return None


def _gue(ends: tuple[Address, Address], size: int, payload: bytes) -> Wrapped | None:
    _source_port, port, _length, checksum = struct.unpack_from("!4H", payload)
    words, _protocol, flags = struct.unpack_from("!BBH", payload, 8)
    options = (words & 0x1F) * 4
    remote = bool(flags & GUE_PRIVATE) and struct.unpack_from("!I", payload, 12)[0] & GUE_REMOTE_CHECKSUM
    before = 8 + 4 + options
    return _wrapped(
        "gue",
        ends,
        size + before,
        payload[before:],
        udp_port=port,
        checksum=checksum,
        remote_checksum=bool(remote),
    )


def _wrapped(
    kind: str,
    ends: tuple[Address, Address],
    header_bytes: int,
    packet: bytes,
    *,
    udp_port: int = 0,
    checksum: int | None = None,
    remote_checksum: bool = False,
) -> Wrapped | None:
    inner = parse(kind, packet)
    if inner is None:
        return None
    return Wrapped(kind, *ends, header_bytes, inner, udp_port, checksum, remote_checksum)


def checksum_is_right(data: bytes) -> bool:
    """Whether the outer checksum of GUE or GRE covers the packet in it (RFC 1071), as it will be when it leaves a host.

    Links of the lab leave TCP's own checksum to a card that they do not have; the outer one reckons with the right one.
    """
    size = 20 if data[0] >> 4 == 4 else 40
    wrapped = unwrap(data)
    assert wrapped is not None
    covered = data[size : wrapped.header_bytes] + _completed(data[wrapped.header_bytes :])
    if wrapped.kind == "gue":
        covered = _pseudo_header(data, size, IPPROTO_UDP, len(data) - size) + covered
    return _ones_complement(covered) == 0xFFFF


def _completed(packet: bytes) -> bytes:
    """A TCP packet with its checksum."""
    size = 20 if packet[0] >> 4 == 4 else 40
    head, segment = packet[:size], packet[size:]
    without = segment[:16] + bytes(2) + segment[18:]
    total = _ones_complement(_pseudo_header(packet, size, IPPROTO_TCP, len(segment)) + without)
    return head + without[:16] + struct.pack("!H", ~total & 0xFFFF) + without[18:]


def _pseudo_header(packet: bytes, size: int, protocol: int, length: int) -> bytes:
    addresses = packet[12:20] if size == 20 else packet[8:40]
    return addresses + struct.pack("!HH", protocol, length)


def _ones_complement(data: bytes) -> int:
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
