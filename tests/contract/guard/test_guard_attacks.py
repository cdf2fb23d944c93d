"""Who means ill, and who else works on the same kernel: neither gets anything from the guard that is not his."""

import socket
import threading
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import cycle

import pytest

from appliance.model.guard import Guard, ObservedGuard
from tests.contract.guard.samples import NARROW, WIDE
from tests.contract.guard.served import BOTH, GUARD, REJECTING
from tests.contract.guard.wire import (
    BEYOND,
    BEYOND6,
    CLIENT,
    CLIENT6,
    DEADLINE_S,
    ELSEWHERE,
    ELSEWHERE6,
    NODE,
    NODE6,
    QUIET_S,
    STRANGER,
    VIP,
    VIP2,
    VIP6,
    Wire,
    give,
    receive,
)

FOREIGN = """
table inet balanced2 {
  set open4 { type ipv4_addr; elements = { 10.50.0.1 } }
  chain input {
    type filter hook input priority 10; policy accept;
    tcp dport 9999 drop
  }
}
table ip balanced {
  chain prerouting { type nat hook prerouting priority -100; policy accept; }
}
table ip6 filter {
  chain input {
    type filter hook input priority 0; policy accept;
    counter
  }
}
"""


TRACKING = """
table inet theirs {
  chain in {
    type filter hook input priority 0; policy accept;
    ip daddr 10.50.0.1 ct state != untracked drop
    ip6 daddr 2001:db8:50::1 ct state != untracked drop
    udp sport 53 ct state != untracked drop
  }
  chain out {
    type filter hook output priority 0; policy accept;
    ip saddr 10.50.0.1 ct state != untracked drop
    ip6 saddr 2001:db8:50::1 ct state != untracked drop
    udp dport 53 ct state != untracked drop
  }
}
"""
"""A firewall that tracks, and drops what is tracked of two VIPs and of DNS."""


@pytest.mark.parametrize("guard", [GUARD, REJECTING], ids=["dropping", "rejecting"])
@pytest.mark.parametrize("vip", BOTH)
def test_a_port_scan_shows_exactly_the_service_ports(lan: Wire, vip: str, guard: Guard) -> None:
    listening = [22, 80, 111, 443, 179, 8123, 8080, 10250]
    lan.listen(*listening)
    lan.guard.apply(guard)
    ports = sorted({*range(1, 600), *listening})
    found = lan.knock(vip, ports, CLIENT6 if vip == VIP6 else CLIENT)
    assert {port for port, seen in found.items() if seen == "open"} == {80, 443, 8080}
    assert set(found.values()) - {"open"} == ({"silent"} if guard is GUARD else {"closed"})


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param(VIP, (NODE, 9), id="IPv4 to the node itself"),
        pytest.param(VIP6, (NODE6, 9), id="IPv6 to the node itself"),
        pytest.param(VIP, (BEYOND, 9), id="IPv4 to be forwarded"),
        pytest.param(VIP6, (BEYOND6, 9), id="IPv6 to be forwarded"),
        pytest.param(ELSEWHERE, (BEYOND, 9), id="IPv4 of another node's VIP to be forwarded"),
        pytest.param(ELSEWHERE6, (BEYOND6, 9), id="IPv6 of another node's VIP to be forwarded"),
        pytest.param(VIP, (VIP2, 53), id="to a service of another VIP"),
    ],
)
def test_a_packet_with_a_vip_as_its_source_is_dropped_and_counted(
    lan: Wire, source: str, target: tuple[str, int]
) -> None:
    lan.client.run("ping", "-c1", "-W2", NODE)  # nobody answers a VIP's question for the node's link-layer address
    give(lan.client, "lo", f"{source}/128" if ":" in source else f"{source}/32")
    address, port = target
    namespace = lan.beyond if address in {BEYOND, BEYOND6} else lan.node
    receiver = lan.receiver(port, address, namespace)
    lan.guard.apply(GUARD)
    forged = lan.open(lan.client, socket.SOCK_DGRAM, address)
    forged.bind((source, 0))
    forged.sendto(b"forged", (address, port))
    assert receive(receiver, QUIET_S) is None
    assert lan.guard.counts().spoofed == 1


@pytest.mark.parametrize(("vip", "own"), [(ELSEWHERE, NODE), (ELSEWHERE6, NODE6)], ids=["IPv4", "IPv6"])
def test_the_node_itself_may_be_a_client_of_another_nodes_vip(lan: Wire, vip: str, own: str) -> None:
    """The answer has a pool address as its source, and is for the node's own address; neither way is tracked."""
    give(lan.client, "lo", f"{vip}/128" if ":" in vip else f"{vip}/32")
    lan.node.run("nft", "-f", "-", text=TRACKING)
    lan.guard.apply(GUARD)
    server, asking = (lan.open(namespace, socket.SOCK_DGRAM, vip) for namespace in (lan.client, lan.node))
    server.bind((vip, 53))
    asking.bind((own, 0))
    asking.sendto(b"?", (vip, 53))
    assert receive(server) == b"?"
    server.sendto(b"!", asking.getsockname())
    assert receive(asking) == b"!"


@pytest.mark.parametrize("vip", BOTH)
def test_what_the_node_says_to_itself_is_left_alone(lan: Wire, vip: str) -> None:
    """Source and destination are the VIP there, and the ports of the answers are nobody's service."""
    lan.listen(22)
    lan.guard.apply(GUARD)
    local = lan.open(lan.node, socket.SOCK_STREAM, vip)
    local.settimeout(DEADLINE_S)
    local.connect((vip, 22))
    assert local.getsockname()[0] == vip
    assert lan.guard.counts().spoofed == 0


def test_i5_tables_of_others_are_not_touched(lan: Wire) -> None:
    def others() -> str:
        text = lan.node.run("nft", "-s", "list", "ruleset")
        return "".join(part for part in text.split("table ") if not part.startswith("inet balanced {"))

    lan.node.run("nft", "-f", "-", text=FOREIGN)
    before = others()
    assert before.count("chain") == 3
    for guard in (NARROW, WIDE, REJECTING, GUARD):
        lan.guard.apply(guard)
        assert others() == before
    lan.guard.remove()
    assert others() == before == "".join(lan.node.run("nft", "-s", "list", "ruleset").split("table "))


def test_what_another_table_drops_stays_dropped(lan: Wire) -> None:
    lan.listen(80)
    lan.guard.apply(GUARD)
    assert lan.door(VIP, 80) == "open"
    lan.node.run("nft", "add table inet t; add chain inet t c { type filter hook input priority 0; policy drop; }")
    assert lan.door(VIP, 80) == "silent"


@pytest.mark.parametrize(("vip", "own"), [(VIP, NODE), (VIP6, NODE6)], ids=["IPv4", "IPv6"])
def test_packets_of_the_pools_are_not_tracked_and_others_are(lan: Wire, vip: str, own: str) -> None:
    lan.listen(80)
    lan.node.run("nft", "-f", "-", text=TRACKING)
    assert lan.door(vip, 80) == "silent"
    lan.guard.apply(GUARD)
    assert lan.door(vip, 80) == "open"
    lan.node.run("nft", "add rule inet theirs in tcp dport 80 ct state new drop")
    assert lan.door(vip, 80) == "open"
    assert lan.door(own, 80) == "silent"


def test_no_packet_is_lost_and_none_slips_through_while_the_guard_changes(lan: Wire) -> None:
    """Guards take turns as fast as they can: a packet meets either the one or the other, and never none."""
    lan.guard.apply(GUARD)
    serving, hidden = lan.receiver(53, VIP), lan.receiver(5353, VIP)
    sender = lan.sender(STRANGER)
    over = threading.Event()
    replaced = []
    fewer = replace(
        GUARD,
        pools=(ip_network("10.50.0.0/16"), ip_network("2001:db8::/32")),
        rules=frozenset(rule for rule in GUARD.rules if str(rule.key.vip) == VIP and rule.key.port == 53),
    )

    def take_turns() -> None:
        for guard in cycle((REJECTING, fewer, GUARD)):
            if over.is_set():
                return
            lan.guard.apply(guard)
            replaced.append(guard)

    thread = threading.Thread(target=take_turns)
    thread.start()
    try:
        for number in range(65536):
            if len(replaced) > 100:
                break
            sender.sendto(b"secret", (VIP, 5353))
            sender.sendto(number.to_bytes(2), (VIP, 53))
            assert receive(serving) == number.to_bytes(2)
    finally:
        over.set()
        thread.join()
    assert len(replaced) > 100
    hidden.setblocking(False)
    with pytest.raises(BlockingIOError):
        hidden.recv(100)


def test_every_refused_packet_is_counted_at_its_vip(lan: Wire) -> None:
    lan.guard.apply(GUARD)
    sender = lan.sender(CLIENT)
    for _ in range(7):
        sender.sendto(b"?", (VIP, 9))
    counts = lan.guard.counts()
    assert counts.refused == {**dict.fromkeys(GUARD.vips, 0), ip_address(VIP): 7}
    assert lan.guard.read() == ObservedGuard(GUARD, intact=True)
