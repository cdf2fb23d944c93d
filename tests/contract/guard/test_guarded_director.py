"""A whole director with the real guard in a network namespace: what clients get to, and what nobody can talk it into.

IPVS and the link are fakes, for this machine's kernel may have neither; so what is let through meets a plain listener.
"""

import asyncio
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from appliance.decide.guard import GuardPolicy, guard
from appliance.director.loop import Director
from appliance.director.ports import Ports
from appliance.director.settings import Settings
from appliance.director.status import status
from appliance.guard.kernel import GuardKernel
from appliance.model.desired import Backend, DesiredService, ServiceDefaults, Snapshot
from appliance.model.guard import GuardRule, Refusal
from appliance.model.service import Protocol, ServiceFlag
from appliance.sources.file import FileSource
from appliance.telemetry.journal import Journal
from tests.contract.guard.samples import key
from tests.contract.guard.test_guard_attacks import FOREIGN
from tests.contract.guard.wire import (
    BEYOND,
    BEYOND6,
    CLIENT,
    CLIENT6,
    DEADLINE_S,
    NODE,
    NODE6,
    OWN,
    QUIET_S,
    STRANGER,
    STRANGER6,
    VIP,
    VIP6,
    Wire,
    give,
    receive,
)
from tests.fakes.kernel import FakeIpvs, FakeRoutes, FakeVips
from tests.fakes.outside import FakeMonitor, FakeRouter, FakeSource

POOLS = (ip_network("10.50.0.0/24"), ip_network("2001:db8:50::/64"))
DEFAULTS = ServiceDefaults("mh", ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2)
BOTH = pytest.mark.parametrize("vip", [pytest.param(VIP, id="IPv4"), pytest.param(VIP6, id="IPv6")])
NODE_OF = {VIP: NODE, VIP6: NODE6}
CLIENT_OF = {VIP: CLIENT, VIP6: CLIENT6}
STRANGER_OF = {VIP: STRANGER, VIP6: STRANGER6}


def wanted(vip: str, port: int, protocol: Protocol = Protocol.TCP) -> DesiredService:
    backend = Backend(ip_address("10.1.0.1"))
    return DesiredService(key(vip, port, protocol), "default/web", "mh", DEFAULTS.flags, backends=(backend,))


SERVICES = tuple(
    wanted(vip, port, protocol)
    for vip in (VIP, VIP6)
    for port, protocol in ((80, Protocol.TCP), (443, Protocol.TCP), (53, Protocol.UDP))
)


class Served:
    """A director that runs in a thread; ``source`` is what it serves, files where ``directory`` is given."""

    def __init__(self, lan: Wire, scratch: Path, directory: Path | None = None, **changes: object) -> None:
        self.link, self.router = FakeVips(), FakeRouter()
        self.link.have_elsewhere(ip_address(OWN))
        self._scratch, self._directory, self._guard = scratch, directory, lan.guard
        self._settings = replace(Settings("lb1", POOLS, scratch, settle_s=0.2), **changes)  # type: ignore[arg-type]
        self._loop = asyncio.new_event_loop()
        self.log = io.StringIO()

    def start(self) -> None:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="director")
        self._thread.start()
        assert started.wait(DEADLINE_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self.director.stop)
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        self._loop.close()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self.source = FakeSource()
        source = self.source if self._directory is None else FileSource(self._directory, DEFAULTS)
        ports = Ports(
            FakeIpvs(), self.link, FakeRoutes(), FakeMonitor(), self.router, {"file": source}, guard=self._guard
        )
        self.director = Director(self._settings, ports, Journal(self.log, prefix=False), time.monotonic)
        started.set()
        await self.director.run()

    def want(self, *services: DesiredService) -> None:
        """The services from now on; returns once the guard is read to stand for them."""
        before = self.director.context.memory.generation
        self._loop.call_soon_threadsafe(self.source.say, Snapshot("file", services))
        until(lambda: self.director.context.memory.generation > before and self.in_force)

    @property
    def in_force(self) -> bool:
        """Whether the guard was read to let through just what is wanted, beside what is about to end."""
        memory = self.director.context.memory
        stood, services = memory.guard.stood, memory.desired.services if memory.desired else {}
        if stood is None or memory.guard.gaps:
            return False
        expected = guard(services.values(), GuardPolicy(POOLS))
        return {rule for rule in stood.rules if rule.key in services} == expected.rules

    @property
    def announced(self) -> set[str]:
        return set(map(str, self.router.held))


def until(condition: Callable[[], object], within_s: float = DEADLINE_S) -> None:
    """Wait until the condition holds."""
    deadline_s, pause = time.monotonic() + within_s, threading.Event()
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {within_s} s"
        pause.wait(0.01)


@contextmanager
def running(served: Served) -> Iterator[Served]:
    served.start()
    try:
        yield served
    finally:
        served.stop()


@pytest.fixture
def served(lan: Wire, tmp_path: Path) -> Iterator[Served]:
    with running(Served(lan, tmp_path)) as made:
        made.want(*SERVICES)
        until(lambda: made.announced == {VIP, VIP6})
        yield made


def heard(lan: Wire, vip: str, source: str, ports: Iterable[int]) -> set[int]:
    """The UDP ports at which something of this node hears a client that sends to the VIP."""
    receivers = {port: lan.receiver(port, vip) for port in ports}
    sender = lan.sender(source)
    for port in receivers:
        sender.sendto(b"?", (vip, port))
    return {port for port, each in receivers.items() if receive(each, QUIET_S) is not None}


@BOTH
@pytest.mark.usefixtures("served")
def test_a_port_scan_of_a_vip_shows_exactly_its_services(lan: Wire, vip: str) -> None:
    """What listens on all addresses (sshd, kubelet) answers on the node's own address, and not on the VIP."""
    own, client = NODE_OF[vip], CLIENT_OF[vip]
    listening = [22, 80, 111, 443, 8123, 10250]
    lan.listen(*listening)
    ports = sorted({*range(1, 600), *listening})
    assert {port for port, seen in lan.knock(vip, ports, client).items() if seen == "open"} == {80, 443}
    assert set(lan.knock(own, listening, client).values()) == {"open"}
    assert heard(lan, vip, client, (53, 123, 161, 443)) == {53}


def test_other_ports_are_refused_aloud_where_that_is_configured(lan: Wire, tmp_path: Path) -> None:
    lan.listen(22, 80)
    with running(Served(lan, tmp_path, refusal=Refusal.REJECT)) as served:
        served.want(*SERVICES)
        assert lan.knock(VIP, (22, 80, 9)) == {22: "closed", 80: "open", 9: "closed"}


@BOTH
def test_source_ranges_hold_and_change_without_a_flap(lan: Wire, served: Served, vip: str) -> None:
    client, stranger = CLIENT_OF[vip], STRANGER_OF[vip]
    lan.listen(80)
    published = len(served.router.history)
    office = ip_network(f"{client}/{120 if ':' in client else 28}", strict=False)
    others = tuple(each for each in SERVICES if each.key != key(vip, 80))
    served.want(*others, replace(wanted(vip, 80), source_ranges=(office,)))
    assert (lan.door(vip, 80, client), lan.door(vip, 80, stranger)) == ("open", "silent")
    served.want(*others, replace(wanted(vip, 80), source_ranges=(ip_network(stranger),)))
    assert (lan.door(vip, 80, client), lan.door(vip, 80, stranger)) == ("silent", "open")
    served.want(*SERVICES)
    assert lan.door(vip, 80, client) == "open"
    assert len(served.router.history) == published


@pytest.mark.parametrize(("vip", "other"), [(VIP, ip_network("2001:db8::/32")), (VIP6, ip_network("192.0.2.0/24"))])
def test_ranges_of_one_ip_version_close_the_other(lan: Wire, served: Served, vip: str, other: object) -> None:
    lan.listen(80)
    assert lan.door(vip, 80) == "open"
    served.want(replace(wanted(vip, 80), source_ranges=(other,)))  # type: ignore[arg-type]  # one of two networks
    assert lan.door(vip, 80) == "silent"


@pytest.mark.usefixtures("served")
@BOTH
def test_a_packet_with_a_vip_as_its_source_is_not_forwarded(lan: Wire, vip: str) -> None:
    target = {VIP: BEYOND, VIP6: BEYOND6}[vip]
    receiver = lan.receiver(9, target, lan.beyond)
    honest = lan.sender(CLIENT_OF[vip])
    honest.sendto(b"honest", (target, 9))
    assert receive(receiver) == b"honest"
    give(lan.client, "lo", f"{vip}/128" if ":" in vip else f"{vip}/32")
    forged = lan.open(lan.client, socket.SOCK_DGRAM, vip)
    forged.bind((vip, 0))
    forged.sendto(b"forged", (target, 9))
    assert receive(receiver, QUIET_S) is None


def test_a_flushed_ruleset_is_repaired_and_no_vip_is_withdrawn(lan: Wire, served: Served) -> None:
    lan.listen(22, 80)
    published = len(served.router.history)
    lan.node.run("nft", "flush", "ruleset")
    until(lambda: "repairing: the guard" in served.log.getvalue())
    assert lan.knock(VIP, (22, 80)) == {22: "silent", 80: "open"}
    assert len(served.router.history) == published


def test_a_port_that_somebody_opens_is_closed_again(lan: Wire, served: Served) -> None:
    lan.listen(22)
    lan.node.run("nft", f"add element inet balanced open4 {{ {VIP} . 6 . 22 }}")
    until(lambda: f"tcp/{VIP}:22: open -> closed" in served.log.getvalue())
    assert lan.door(VIP, 22) == "silent"


def test_who_flushes_all_the_time_costs_the_vips_and_is_named(lan: Wire, served: Served) -> None:
    over = threading.Event()

    def flush() -> None:
        while not over.wait(0.2):
            lan.node.run("nft", "flush", "ruleset")

    enemy = threading.Thread(target=flush)
    enemy.start()
    try:
        until(lambda: not served.announced, 10.0)
        assert "flush ruleset" in status(served.director.context, "0").conditions["guard fight"]
    finally:
        over.set()
        enemy.join()


def test_i5_tables_of_others_are_not_touched_whatever_the_director_does(lan: Wire, tmp_path: Path) -> None:
    def others() -> list[str]:
        ruleset = lan.node.run("nft", "-s", "list", "ruleset")
        return [part for part in ruleset.split("table ")[1:] if not part.startswith("inet balanced {")]

    lan.node.run("nft", "-f", "-", text=FOREIGN)
    before = others()
    with running(Served(lan, tmp_path)) as served:
        served.want(*SERVICES)
        assert others() == before
        lan.node.run("nft", "delete", "table", "inet", "balanced")
        until(lambda: "repairing: the guard" in served.log.getvalue())
        served.want(replace(SERVICES[0], new_flows_per_s=5))
        assert others() == before


HOSTILE = (
    'x"; flush ruleset; #',
    "a\n}\nflush ruleset\n",
    "include /etc/passwd",
    "$(reboot) `reboot` {{ 7 * 7 }} {% raw %}",
    "0.0.0.0/0 } ; add element inet balanced open4 { 10.50.0.1 . 6 . 22",
    "define x = 1; delete table inet balanced",
    "\\ \" ' \t / ../../ \x7f \u202e \U0001f4a5",
    "",
    "-" * 5000,
)


def manifest(hostile: str, place: str) -> dict[str, object]:
    """A Service of type LoadBalancer with something hostile in one place."""
    prefix = "balanced.demonware.net/"
    given = {"name": "web", "namespace": "default", "annotation": "500", "range": "192.0.2.0/24", "port": "http"}
    given |= {"ip": VIP, "class": "", place: hostile}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": given["name"],
            "namespace": given["namespace"],
            "annotations": {f"{prefix}new-flows-per-second": given["annotation"], hostile[:60] or "x": hostile},
        },
        "spec": {
            "type": "LoadBalancer",
            "ports": [{"port": 443, "name": given["port"], "protocol": "TCP"}],
            "loadBalancerSourceRanges": [given["range"]],
            "loadBalancerIP": given["ip"],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": given["ip"]}]}},
    }


@pytest.mark.parametrize("place", ["name", "namespace", "annotation", "range", "port", "ip", "class"])
def test_no_text_of_a_service_changes_a_ruleset(lan: Wire, tmp_path: Path, place: str) -> None:
    """Each is served in its place or refused; what stands then is ours to the letter, and nothing else stands."""
    services = tmp_path / "services"
    services.mkdir()
    (services / "good.yaml").write_text(f"vip: {VIP6}\nports: [80]\nbackends: [10.1.0.1]\n")
    lan.node.run("nft", "-f", "-", text=FOREIGN)
    before = _without_ours(lan)
    with running(Served(lan, tmp_path, services)) as served:
        until(lambda: served.director.context.memory.desired)
        for hostile in HOSTILE:
            heard_before = _word(served)
            (services / "evil.json").write_text(json.dumps(manifest(hostile, place)))
            until(lambda: _word(served) != heard_before and served.in_force)  # noqa: B023 - called in this turn only
            assert _without_ours(lan) == before
            assert _rules(lan) <= {(VIP, 443), (VIP6, 80)}
            assert (VIP6, 80) in _rules(lan)
            heard_before = _word(served)
            (services / "evil.json").unlink()
            until(lambda: _word(served) != heard_before and served.in_force)  # noqa: B023 - as above


def _word(served: Served) -> tuple[object, ...]:
    """What changes with each reading of the directory: a state, or why there is none."""
    context = served.director.context
    return context.memory.generation, tuple(sorted(context.standing.all.items()))


def _without_ours(lan: Wire) -> list[object]:
    listed = json.loads(lan.node.run("nft", "-j", "-s", "list", "ruleset"))["nftables"]
    bodies = [body for each in listed for kind, body in each.items() if kind != "metainfo"]
    return [body for body in bodies if (body["family"], body.get("table", body.get("name"))) != ("inet", "balanced")]


def _rules(lan: Wire) -> set[tuple[str, int]]:
    """VIP and port of everything that the table lets through, read by a process that never made it."""
    with lan.node.entered():
        reader = GuardKernel()
    with reader:
        found = reader.read().guard
    assert found is not None, "the table holds what no guard has"
    rules: frozenset[GuardRule] = found.rules
    return {(str(rule.key.vip), rule.key.port) for rule in rules}
