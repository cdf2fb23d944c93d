"""The machine beyond the directors: a router with BIRD, and in namespaces of it a client and real servers.

Link N is 10.60.N.0/24 and 2001:db8:60:N::/64, the router at 1 and whoever is at its end at 2.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from image.debian import run
from image.qemu import Node

HERE = Path(__file__).parent
# Of a step on an emulated machine that shares its processors with two others.
DEADLINE_S = 300.0
# Run on that machine by its own Python.
PROGRAMS = (HERE / "clientside.py", HERE.parent / "lab/realserver.py")
ROUTER_AS, DIRECTOR_AS = 64500, 64512
DIRECTORS = {"lb1": 1, "lb2": 2}
# Where a director's own card is.
UPLINK_SLOT = 16
UPLINK = f"enp0s{UPLINK_SLOT}"
CLIENT = 9
SERVERS = {"s1": 21, "s2": 22}
# More than 1500, so that what is as large as that still fits into a tunnel.
MTU_BYTES = 1600
PORTS = (80, 8080)
VIPS = ("10.50.0.1", "2001:db8:50::1")
# These are for the client's second address alone.
CLOSED_VIPS = ("10.50.0.2", "2001:db8:50::2")


def address(version: int, link: int, host: int = 2) -> str:
    """An address on a link; ``host`` 1 is the router."""
    return f"10.60.{link}.{host}" if version == 4 else f"2001:db8:60:{link}::{host}"


def card(director: str) -> str:
    """The name of the router's link to a director."""
    return f"enp0s{slot(director)}"


def slot(director: str) -> int:
    """Where the router's card for that link is in the machine: this decides its name."""
    return UPLINK_SLOT - 1 + DIRECTORS[director]


def bird_config() -> str:
    """What the router's BIRD reads: a session for each director and IP version, all equal routes used at once."""
    session = """\
protocol bgp {name}_v{version} {{
  local as {ours}; neighbor {neighbor} as {theirs}; hold time 60; connect delay time 1; connect retry time 2;
  error wait time 1, 4; ipv{version} {{ import all; export none; }};
}}
"""
    sessions = "".join(
        session.format(name=name, version=version, ours=ROUTER_AS, neighbor=address(version, link), theirs=DIRECTOR_AS)
        for name, link in DIRECTORS.items()
        for version in (4, 6)
    )
    return f"""\
log syslog all;
router id 10.60.0.1;
protocol device {{ }}
protocol kernel {{ ipv4 {{ import none; export all; }}; merge paths on; }}
protocol kernel {{ ipv6 {{ import none; export all; }}; merge paths on; }}
{sessions}"""


def _end(name: str, link: int, mtu_bytes: int) -> Iterator[str]:
    """A namespace with a link to the router."""
    yield f"ip netns add {name}"
    yield f"ip link add to_{name} mtu {mtu_bytes} type veth peer name eth0 mtu {mtu_bytes} netns {name}"
    yield f"ip -n {name} link set lo up"
    yield from _addresses(f"ip -n {name}", "eth0", [address(4, link), address(6, link)])
    yield from _addresses("ip", f"to_{name}", [address(4, link, 1), address(6, link, 1)])
    for version in (4, 6):
        yield f"ip -n {name} -{version} route add default via {address(version, link, 1)}"


def _addresses(ip: str, link: str, addresses: Iterable[str]) -> Iterator[str]:
    yield f"{ip} link set {link} up"
    for each in addresses:
        yield f"{ip} address add {each}/{64 if ':' in each else 24} dev {link} {'nodad' if ':' in each else ''}"


def links_script() -> str:
    """All links of that machine, as lines for its shell."""
    lines = [
        "set -e",
        # Nothing of a node's own filter or network stands in the way, whatever disk this is.
        "systemctl stop balanced-host-filter 2>/dev/null || true",
        "printf '[Match]\\nName=enp0s16 enp0s17\\n[Link]\\nUnmanaged=yes\\n' >/etc/systemd/network/10-test.network",
        "networkctl reload",
        "modprobe -a ipip ip6_tunnel",
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
        "sysctl -qw net.ipv4.fib_multipath_hash_policy=1 net.ipv6.fib_multipath_hash_policy=1",
    ]
    for name, link in DIRECTORS.items():
        lines.append(f"ip link set {card(name)} mtu {MTU_BYTES}")
        lines += _addresses("ip", card(name), [address(4, link, 1), address(6, link, 1)])
    lines += _end("client", CLIENT, 1500)
    lines.append("ip netns exec client sysctl -qw 'net.ipv4.ping_group_range=0 0'")
    lines += _addresses("ip -n client", "eth0", [address(4, CLIENT, 3), address(6, CLIENT, 3)])
    for name, link in SERVERS.items():
        lines += _end(name, link, MTU_BYTES)
        lines.append(
            f"ip netns exec {name} sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 "
            "net.ipv4.conf.tunl0.rp_filter=0"
        )
        lines += [f"ip -n {name} link set {tunnel} up" for tunnel in ("tunl0", "ip6tnl0")]
        for vip in (*VIPS, *CLOSED_VIPS):
            lines.append(f"ip -n {name} address add {vip} dev {'ip6tnl0 nodad' if ':' in vip else 'tunl0'}")
    return "\n".join(lines)


@dataclass
class FarSide:
    """That machine, and what is asked of it."""

    node: Node
    _started: int = field(default=0)

    def prepare(self) -> None:
        """Bring programs, links, servers and BIRD."""
        run(["scp", "-q", "-F", str(self.node.ssh_config), *map(str, PROGRAMS), "node:/root/"], HERE)
        self.node.tell(links_script())
        self.node.tell(f"cat >/etc/bird/bird.conf <<'END'\n{bird_config()}END\nsystemctl restart bird")
        for server in SERVERS:
            for port in PORTS:
                self.node.tell(_service(f"{server}-{port}", server, f"/root/realserver.py {server} {port}"))

    def routes_to(self, vip: str) -> set[str]:
        """The directors that the kernel's route to this VIP leads to."""
        version = ip_address(vip).version
        found = json.loads(self.node.tell(f"ip -j -{version} route show exact {vip}") or "[]")
        cards = {hop["dev"] for route in found for hop in route.get("nexthops", [route])}
        return {name for name in DIRECTORS if card(name) in cards}

    def client(self, words: str) -> Any:
        """What ``clientside.py`` says in the client's namespace."""
        return json.loads(self.node.tell(f"ip netns exec client python3 /root/clientside.py {words}"))

    @contextmanager
    def traffic(self, *vips: str) -> Iterator[dict[str, Any]]:
        """A client that opens one connection after the other; the value is filled with its report at the end."""
        name = f"knock-{self._number()}"
        report: dict[str, Any] = {}
        self.node.tell(
            _service(name, "client", f"/root/clientside.py knock --within-s 20 --to /root/{name}.json {' '.join(vips)}")
        )
        wait_until(lambda: self.node.tell(f"ls /root/{name}.json || true") != "", "the client to have begun")
        try:
            yield report
        finally:
            self.node.tell(f"systemctl stop {name}")
            report.update(json.loads(self.node.tell(f"cat /root/{name}.json")))

    @contextmanager
    def hearing(self, server: str, port: int, *, until: str) -> Iterator[list[str]]:
        """Datagrams that reach a port of a server up to this one; the value is filled at the end."""
        name = f"hear-{self._number()}"
        heard: list[str] = []
        words = f"hear --within-s 120 --port {port} --to /root/{name}.json {until}"
        self.node.tell(_service(name, server, f"/root/clientside.py {words}"))
        wait_until(lambda: f":{port}" in self.node.tell(f"ip netns exec {server} ss -Hlun"), "a listener")
        yield heard
        wait_until(lambda: "heard" in self.node.tell(f"cat /root/{name}.json 2>&1 || true"), "what was sent last")
        heard += json.loads(self.node.tell(f"cat /root/{name}.json"))["heard"]

    def _number(self) -> int:
        self._started += 1
        return self._started


def wait_until(true: Callable[[], bool], what: str, within_s: float = DEADLINE_S) -> None:
    """Ask until it is so.

    Raises:
        TimeoutError: it is not so in time.
    """
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_s:.0f} s for {what}")


def _service(name: str, namespace: str, words: str) -> str:
    where = f"--property=NetworkNamespacePath=/run/netns/{namespace}"
    return f"systemd-run --quiet --collect --unit={name} {where} python3 {words}"
