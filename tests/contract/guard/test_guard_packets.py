"""Real packets meet the guard: what is served gets through, whatever else the node listens to does not."""

import socket
import struct
from ipaddress import ip_address

import pytest

from tests.contract.guard.served import BOTH, GUARD, REJECTING
from tests.contract.guard.wire import (
    BEYOND,
    BEYOND6,
    CLIENT,
    CLIENT6,
    ELSEWHERE,
    ELSEWHERE6,
    NODE,
    NODE6,
    OWN,
    OWN6,
    QUIET_S,
    STRANGER,
    STRANGER6,
    UNSERVED,
    UNSERVED6,
    VIP,
    VIP2,
    VIP6,
    Wire,
    receive,
)


@pytest.mark.parametrize("vip", BOTH)
def test_without_the_guard_every_listener_of_the_node_answers_on_a_vip(lan: Wire, vip: str) -> None:
    """What the guard is for; and the wire carries what the other tests miss."""
    lan.listen(22, 80)
    assert lan.knock(vip, [22, 80, 81]) == {22: "open", 80: "open", 81: "closed"}


@pytest.mark.parametrize(("vip", "address"), [(VIP, NODE), (VIP6, NODE6), (VIP, OWN), (VIP6, OWN6)])
def test_sshd_is_reached_on_the_nodes_own_addresses_and_not_on_a_vip(lan: Wire, vip: str, address: str) -> None:
    """Also on an own address that lies in a pool."""
    lan.listen(22, 80)
    lan.guard.apply(GUARD)
    assert lan.door(address, 22) == "open"
    assert lan.knock(vip, [22, 80]) == {22: "silent", 80: "open"}


@pytest.mark.parametrize("vip", BOTH)
def test_a_port_that_no_service_has_is_closed_at_once_where_so_configured(lan: Wire, vip: str) -> None:
    lan.listen(22, 80)
    lan.guard.apply(REJECTING)
    assert lan.knock(vip, [22, 80, 81]) == {22: "closed", 80: "open", 81: "closed"}


@pytest.mark.parametrize("vip", BOTH)
def test_an_unused_udp_port_is_silent_or_unreachable_as_configured(lan: Wire, vip: str) -> None:
    receiver = lan.receiver(5353, vip)
    for guard, answered in ((GUARD, False), (REJECTING, True)):
        lan.guard.apply(guard)
        sender = lan.open(lan.client, socket.SOCK_DGRAM, vip)
        sender.connect((vip, 5353))
        sender.send(b"?")
        try:
            assert receive(sender, QUIET_S) is None
            unreachable = False
        except ConnectionRefusedError:
            unreachable = True
        assert unreachable is answered
    assert receive(receiver, QUIET_S) is None


@pytest.mark.parametrize(("vip", "source"), [(VIP, CLIENT), (VIP6, CLIENT6)])
def test_a_service_port_reaches_the_local_stack(lan: Wire, vip: str, source: str) -> None:
    receiver = lan.receiver(53, vip)
    lan.guard.apply(GUARD)
    lan.sender(source).sendto(b"hello", (vip, 53))
    assert receive(receiver) == b"hello"


@pytest.mark.parametrize("vip", BOTH)
def test_where_ipvs_does_not_take_a_service_its_clients_wait_and_are_not_refused(lan: Wire, vip: str) -> None:
    """Nobody listens, as on a director, and without the guard the host says so."""
    assert lan.knock(vip, [80]) == {80: "closed"}
    lan.guard.apply(GUARD)
    assert lan.knock(vip, [80]) == {80: "silent"}
    lan.listen(80)
    assert lan.knock(vip, [80]) == {80: "open"}


@pytest.mark.parametrize("vip", BOTH)
def test_ping_is_answered_on_a_vip_and_not_on_an_address_without_service(lan: Wire, vip: str) -> None:
    lan.guard.apply(GUARD)
    lan.client.run("ping", "-c1", "-W2", vip)
    unserved = UNSERVED6 if vip == VIP6 else UNSERVED
    with pytest.raises(AssertionError):
        lan.client.run("ping", "-c1", f"-W{QUIET_S}", unserved)
    assert lan.guard.counts().unserved == 1


@pytest.mark.parametrize(
    ("vip", "protocol", "passing", "refused"),
    [
        pytest.param(VIP, socket.IPPROTO_ICMP, (3, 4), (13, 0), id="IPv4: fragmentation needed, not timestamp"),
        pytest.param(VIP, socket.IPPROTO_ICMP, (11, 0), (5, 1), id="IPv4: time exceeded, not redirect"),
        pytest.param(VIP6, socket.IPPROTO_ICMPV6, (2, 0), (139, 0), id="IPv6: packet too big, not node information"),
        pytest.param(VIP6, socket.IPPROTO_ICMPV6, (3, 0), (137, 0), id="IPv6: time exceeded, not redirect"),
    ],
)
def test_the_errors_that_connections_need_get_through(
    lan: Wire, vip: str, protocol: int, passing: tuple[int, int], refused: tuple[int, int]
) -> None:
    lan.guard.apply(GUARD)
    receiver = lan.open(lan.node, socket.SOCK_RAW, vip, protocol)
    sender = lan.open(lan.client, socket.SOCK_RAW, vip, protocol)
    inner = bytes(48)
    for kind, code in (refused, passing):
        body = struct.pack("!BBHI", kind, code, 0, 1400) + inner
        sender.sendto(struct.pack("!BBH", kind, code, checksum(body)) + body[4:], (vip, 0))
    offset = 20 if protocol == socket.IPPROTO_ICMP else 0
    while (packet := receive(receiver)) is not None and packet[offset] in {133, 134, 135, 136}:
        pass  # neighbour discovery, which is addressed to the node's own
    assert packet is not None
    assert (packet[offset], packet[offset + 1]) == passing
    assert lan.guard.counts().refused[ip_address(vip)] == 1


def checksum(body: bytes) -> int:
    """RFC 1071; the kernel fills in that of ICMPv6 itself."""
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = (total & 0xFFFF) + (total >> 16)
    return int(~(total + (total >> 16)) & 0xFFFF)


@pytest.mark.parametrize(
    ("vip", "inside", "outside"), [(VIP, CLIENT, STRANGER), (VIP6, CLIENT6, STRANGER6)], ids=["IPv4", "IPv6"]
)
def test_source_ranges_let_their_clients_through_and_nobody_else(
    lan: Wire, vip: str, inside: str, outside: str
) -> None:
    lan.listen(8080)
    lan.guard.apply(GUARD)
    assert lan.door(vip, 8080, inside) == "open"
    assert lan.door(vip, 8080, outside) == "silent"


@pytest.mark.parametrize(("vip", "port"), [(VIP2, 80), (VIP6, 8443)], ids=["IPv4", "IPv6"])
def test_new_flows_above_the_limit_are_dropped_and_counted_and_others_are_not(lan: Wire, vip: str, port: int) -> None:
    lan.listen(80, 8443)
    lan.guard.apply(GUARD)
    for _ in range(20):
        started = lan.open(lan.client, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, vip)
        started.connect_ex((vip, port))
    counts = lan.guard.counts()
    # Five, their burst, and what the limit gives back while they are sent.
    assert 12 <= counts.limited[ip_address(vip)] <= 15
    assert counts.refused == dict.fromkeys(GUARD.vips, 0)
    assert set(lan.knock(VIP, [80] * 20).values()) == {"open"}


def test_an_established_connection_does_not_meet_the_limit(lan: Wire) -> None:
    listener = lan.open(lan.node, socket.SOCK_STREAM, VIP2)
    listener.bind((VIP2, 80))
    listener.listen()
    lan.guard.apply(GUARD)
    talking = lan.open(lan.client, socket.SOCK_STREAM, VIP2)
    talking.connect((VIP2, 80))
    answering, _ = listener.accept()
    with answering:
        for _ in range(50):
            talking.sendall(b"x")
            assert answering.recv(1) == b"x"
            answering.sendall(b"y")
            assert talking.recv(1) == b"y"
    assert lan.guard.counts().limited[ip_address(VIP2)] == 0


@pytest.mark.parametrize("vip", [VIP2, VIP6])
def test_the_limit_counts_sctp_inits_and_no_other_chunk(lan: Wire, vip: str) -> None:
    lan.guard.apply(GUARD)
    sender = lan.open(lan.client, socket.SOCK_RAW, vip, socket.IPPROTO_SCTP)
    for chunk in (3, 1):  # SACK, INIT: RFC 9260, 3.2
        for _ in range(20):
            sender.sendto(struct.pack("!HHIIBBH", 40000, 36412, 0, 0, chunk, 0, 4), (vip, 0))
    assert 12 <= lan.guard.counts().limited[ip_address(vip)] <= 15


def test_udp_has_no_new_flows_and_no_limit(lan: Wire) -> None:
    receiver, sender = lan.receiver(53, VIP2), lan.sender(CLIENT)
    lan.guard.apply(GUARD)
    for number in range(20):
        sender.sendto(bytes([number]), (VIP2, 53))
    assert [receive(receiver) for _ in range(20)] == [bytes([number]) for number in range(20)]


@pytest.mark.parametrize(("vip", "beyond"), [(ELSEWHERE, BEYOND), (ELSEWHERE6, BEYOND6)], ids=["IPv4", "IPv6"])
def test_a_packet_for_a_pool_address_that_is_not_here_does_not_go_back_to_the_router(
    lan: Wire, vip: str, beyond: str
) -> None:
    """The client is the node's router here: without the guard the two pass it on until its hop limit is used up."""
    lan.client.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    lan.guard.apply(GUARD)
    sender = lan.open(lan.client, socket.SOCK_DGRAM, vip)
    sender.sendto(b"?", (vip, 80))
    assert lan.guard.counts().unserved == 1
    elsewhere = lan.receiver(9, beyond, lan.beyond)
    sender.sendto(b"on", (beyond, 9))
    assert receive(elsewhere) == b"on"


@pytest.mark.parametrize(("vip", "source"), [(VIP, CLIENT), (VIP6, CLIENT6)])
def test_a_fragmented_datagram_to_a_service_arrives_whole(lan: Wire, vip: str, source: str) -> None:
    """Another table makes the kernel put IPv6 together before routing, as IPVS does with an IPv6 service."""
    lan.node.run("nft", "add table inet t; add chain inet t c { type filter hook input priority 0; }")
    lan.node.run("nft", "add rule inet t c ct state new accept")
    receiver = lan.receiver(53, vip)
    lan.guard.apply(GUARD)
    lan.sender(source).sendto(bytes(6000), (vip, 53))
    assert receive(receiver) == bytes(6000)


def test_fragments_of_ipv4_need_nobody_elses_help(lan: Wire) -> None:
    receiver = lan.receiver(53, VIP)
    lan.guard.apply(GUARD)
    lan.sender(CLIENT).sendto(bytes(6000), (VIP, 53))
    assert receive(receiver) == bytes(6000)


@pytest.mark.parametrize(("vip", "source"), [(VIP, CLIENT), (VIP6, CLIENT6)])
def test_fragments_to_a_port_that_no_service_has_are_dropped(lan: Wire, vip: str, source: str) -> None:
    receiver = lan.receiver(5353, vip)
    lan.guard.apply(GUARD)
    lan.sender(source).sendto(bytes(6000), (vip, 5353))
    assert receive(receiver, QUIET_S) is None
