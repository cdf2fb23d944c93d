"""Clamp and lock by nftables and by legacy iptables, in namespaces of this machine's own kernel."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address, ip_network

import pytest

from appliance.model.tunnel import Clamp, Rules
from appliance.tunnel.firewall import Firewall
from appliance.tunnel.iptables import Iptables
from appliance.tunnel.modules import LEGACY_FIREWALL
from appliance.tunnel.nftables import Nftables, probe
from tests.contract.guard.wire import QUIET_S, give, plug, receive
from tests.netns import Namespace

CLIENT, STRANGER, POD = "192.0.2.10", "192.0.2.66", "192.0.2.1"
CLIENT6, STRANGER6, POD6 = "2001:db8:7::10", "2001:db8:7::66", "2001:db8:7::1"
VIP, VIP6 = "10.50.0.1", "2001:db8:50::1"
PORT, GUE_PORT = 80, 5555
TIMESTAMPS_BYTES = 12
PLACE = "pod"
RULES = Rules(
    frozenset({Clamp(ip_address(VIP), 1240), Clamp(ip_address(VIP6), 1220)}),
    (ip_network(f"{CLIENT}/32"), ip_network(f"{CLIENT6}/128")),
    frozenset({GUE_PORT}),
)


class Pod:
    """A client and a pod with its VIPs, each in a namespace, and the firewall of the pod."""

    def __init__(self, stack: ExitStack, firewall: Firewall) -> None:
        self._stack = stack
        self.client, self.pod = stack.enter_context(Namespace()), stack.enter_context(Namespace())
        plug(self.client, "up", self.pod, "eth0")
        give(self.client, "up", f"{CLIENT}/24", f"{STRANGER}/24", f"{CLIENT6}/64", f"{STRANGER6}/64")
        give(self.pod, "eth0", f"{POD}/24", f"{POD6}/64")
        give(self.pod, "lo", f"{VIP}/32", f"{VIP6}/128")
        self.client.run("ip", "route", "add", f"{VIP}/32", "via", POD)
        self.client.run("ip", "route", "add", f"{VIP6}/128", "via", POD6)
        self.firewall = firewall

    def put(self, rules: Rules) -> None:
        with self.pod.entered():
            self.firewall.put(PLACE, rules)

    def remove(self) -> None:
        with self.pod.entered():
            self.firewall.remove(PLACE)

    def read(self) -> tuple[Rules | None, bool]:
        with self.pod.entered():
            standing = self.firewall.read(PLACE)
        return standing.rules, standing.is_marked

    def open(self, namespace: Namespace, address: str, kind: int, protocol: int = 0) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with namespace.entered():
            return self._stack.enter_context(socket.socket(family, kind, protocol))

    def segment_bytes(self, vip: str) -> int:
        """What a client that connects may send in one segment (tcp(7), TCP_MAXSEG)."""
        listener = self.open(self.pod, vip, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((vip, PORT))
        listener.listen()
        with self.open(self.client, vip, socket.SOCK_STREAM) as client, listener:
            client.connect((vip, PORT))
            return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) + TIMESTAMPS_BYTES

    def gets(self, source: str, target: str, protocol: int, kind: int = socket.SOCK_RAW, port: int = 0) -> bool:
        """Whether a packet of the protocol from that address arrives: one in a tunnel, or a datagram to a port."""
        receiver = self.open(self.pod, target, kind, protocol)
        receiver.bind((target, port))
        with self.open(self.client, source, kind, protocol) as sender, receiver:
            sender.bind((source, 0))
            sender.sendto(b"x" * 40, (target, port))
            return receive(receiver, QUIET_S) is not None


@pytest.fixture(params=[Nftables, Iptables])
def pod(request: pytest.FixtureRequest) -> Iterator[Pod]:
    # Where they are modules they are not loaded before somebody asks; where they are built in there is nothing to do.
    subprocess.run(["modprobe", "-qa", *LEGACY_FIREWALL], capture_output=True, check=False)
    with ExitStack() as stack:
        yield Pod(stack, request.param())


def test_answers_of_a_vip_ask_for_segments_that_fit_and_no_others_do(pod: Pod) -> None:
    pod.put(Rules(frozenset({Clamp(ip_address(VIP), 1240)})))
    assert pod.segment_bytes(VIP) == 1240
    assert pod.segment_bytes(VIP6) == 1440
    assert pod.segment_bytes(POD) == 1460
    pod.put(RULES)
    assert pod.segment_bytes(VIP6) == 1220


def test_a_peer_that_asked_for_less_is_left_alone(pod: Pod) -> None:
    pod.put(Rules(frozenset({Clamp(ip_address(VIP), 9000)})))
    assert pod.segment_bytes(VIP) == 1460


@pytest.mark.parametrize(
    ("protocol", "friend", "stranger", "target"),
    [
        pytest.param(socket.IPPROTO_IPIP, CLIENT, STRANGER, POD, id="IPv4 in IPv4"),
        pytest.param(socket.IPPROTO_IPV6, CLIENT6, STRANGER6, POD6, id="IPv6 in IPv6"),
        pytest.param(socket.IPPROTO_IPIP, CLIENT6, STRANGER6, POD6, id="IPv4 in IPv6"),
    ],
)
def test_only_directors_get_through_the_tunnel(
    protocol: int, friend: str, stranger: str, target: str, pod: Pod
) -> None:
    """Without the lock both do: the test can fail."""
    assert pod.gets(stranger, target, protocol)
    pod.put(RULES)
    assert pod.gets(friend, target, protocol)
    assert not pod.gets(stranger, target, protocol)


@pytest.mark.parametrize(("friend", "stranger", "target"), [(CLIENT, STRANGER, POD), (CLIENT6, STRANGER6, POD6)])
def test_only_directors_reach_the_port_of_gue_and_all_reach_the_others(
    friend: str, stranger: str, target: str, pod: Pod
) -> None:
    pod.put(RULES)
    assert pod.gets(friend, target, 0, socket.SOCK_DGRAM, GUE_PORT)
    assert not pod.gets(stranger, target, 0, socket.SOCK_DGRAM, GUE_PORT)
    assert pod.gets(stranger, target, 0, socket.SOCK_DGRAM, GUE_PORT + 1)


def test_without_any_director_of_a_version_nobody_of_it_gets_through(pod: Pod) -> None:
    pod.put(Rules(directors=(ip_network(f"{CLIENT}/32"),)))
    assert pod.gets(CLIENT, POD, socket.IPPROTO_IPIP)
    assert not pod.gets(CLIENT6, POD6, socket.IPPROTO_IPV6)


@pytest.mark.parametrize("pod", [Nftables], indirect=True)
def test_what_stands_is_known_until_somebody_changes_a_rule(pod: Pod) -> None:
    """A flushed chain, and a table of somebody else: both count as a change, after which ours is put there anew."""
    assert pod.read() == (None, False)
    pod.put(RULES)
    assert pod.read() == (RULES, True)
    pod.pod.run("nft", "flush chain inet balanced_tunnel input")
    assert pod.read() == (None, True)
    pod.put(RULES)
    assert not pod.gets(STRANGER, POD, socket.IPPROTO_IPIP)
    pod.pod.run("nft", "add table inet somebody")
    assert pod.read() == (None, True)
    pod.remove()
    assert pod.read() == (None, False)
    assert pod.pod.run("nft", "list", "tables") == "table inet somebody\n"


def test_the_probe_leaves_nothing_behind(pod: Pod) -> None:
    with pod.pod.entered():
        probe()
    assert pod.pod.run("nft", "list", "ruleset") == ""


STRANGERS = """\
*filter
:SIDECAR - [0:0]
:ANOTHER - [0:0]
-A INPUT -s 192.0.2.200/32 -p udp -m udp --dport 7 -j SIDECAR
-A OUTPUT -m comment --comment "of a sidecar" -j SIDECAR
-A SIDECAR -p tcp -g ANOTHER
-A ANOTHER -d 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable
COMMIT
"""


def listed(pod: Pod) -> list[str]:
    """All rules of both versions as the programs of iptables see them, with what they have counted."""
    said = [pod.pod.run(f"{program}-legacy-save", "-c") for program in ("iptables", "ip6tables")]
    return [line for text in said for line in text.splitlines() if line.startswith("[")]


@pytest.mark.parametrize("pod", [Iptables], indirect=True)
def test_i5_rules_of_others_stay_as_they_are_with_what_they_have_counted(pod: Pod) -> None:
    """Chains that are jumped to lie before and behind ours, and move when ours comes, grows and goes."""
    pod.pod.run("iptables-legacy-restore", text=STRANGERS)
    assert pod.gets(CLIENT, POD, 0, socket.SOCK_DGRAM, 9)
    pod.pod.run("ping", "-c", "1", CLIENT)
    before = listed(pod)
    assert not any(line.startswith("[0:0] -A OUTPUT") for line in before)
    for rules in (RULES, Rules(RULES.clamps), RULES):
        pod.put(rules)
        assert [line for line in listed(pod) if "BALANCED-TUNNEL" not in line] == before
        assert pod.read() == (rules, True)
    pod.remove()
    assert listed(pod) == before
    assert pod.read() == (None, False)


@pytest.mark.parametrize("pod", [Iptables], indirect=True)
def test_the_programs_of_iptables_list_what_was_put_there(pod: Pod) -> None:
    pod.put(RULES)
    both = ["-p ipencap -j DROP", "-p ipv6 -j DROP", "-p udp -m udp --dport 5555 -j DROP"]
    syn_ack = "-p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK -j TCPMSS --set-mss"
    own = [
        f"-s 10.50.0.1/32 {syn_ack} 1240",
        "-s 192.0.2.10/32 -j RETURN",
        *both,
        f"-s 2001:db8:50::1/128 {syn_ack} 1220",
        "-s 2001:db8:7::10/128 -j RETURN",
        *both,
    ]
    wanted = [f"BALANCED-TUNNEL {rule}" for rule in own]
    wanted += ["INPUT -j BALANCED-TUNNEL", "OUTPUT -j BALANCED-TUNNEL"] * 2
    assert sorted(line.partition("] -A ")[2] for line in listed(pod)) == sorted(wanted)


@pytest.mark.parametrize(
    ("change", "is_ours"),
    [
        pytest.param("-F BALANCED-TUNNEL", True, id="our chain is emptied"),
        pytest.param("-R BALANCED-TUNNEL 2 -p 4 -j ACCEPT", True, id="a rule keeps its size and says something else"),
        pytest.param("-D INPUT -j BALANCED-TUNNEL", True, id="nothing leads to it any more"),
        pytest.param("-I INPUT -s 192.0.2.66/32 -j ACCEPT", True, id="a rule stands before it"),
        pytest.param("-A INPUT -s 192.0.2.66/32 -j ACCEPT", False, id="a rule stands behind it"),
        pytest.param("-N ZZZ", False, id="a chain of somebody else"),
    ],
)
@pytest.mark.parametrize("pod", [Iptables], indirect=True)
def test_only_what_concerns_ours_is_taken_for_a_change(change: str, is_ours: bool, pod: Pod) -> None:  # noqa: FBT001 - a parameter of the table
    pod.put(RULES)
    pod.pod.run("iptables-legacy", *change.split())
    assert pod.read() == ((None, True) if is_ours else (RULES, True))
    pod.put(RULES)
    assert pod.read() == (RULES, True)
    assert not pod.gets(STRANGER, POD, socket.IPPROTO_IPIP)
