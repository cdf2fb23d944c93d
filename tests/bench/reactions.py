"""How soon the router hears of what happens at one director, by how many VIPs that director serves.

A new Service, one VIP that breaks, a drain, a director that is killed (of which nothing is to be heard), a table that
is flushed again and again. Times are those of BIRD at the router, which writes down each route as it hears of it.
"""

import contextlib
import http.client
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from appliance.cli.client import ask
from appliance.model.address import Address
from appliance.model.desired import Backend, DesiredService, canonical
from tests.bench import cluster
from tests.bench.cluster import Node
from tests.bench.figures import Report, say
from tests.bench.footprint import routes
from tests.bench.objects import NAMESPACE, fill, name_of, service_of, slice_of
from tests.bench.withdrawal import WITHDRAWAL_WANTED_S, settle, waiting_flusher
from tests.bench.workload import services
from tests.kube.api import Api
from tests.kube.double import Double
from tests.lab.faults.watcher import ANNOUNCED, CHANGED, WITHDRAWN, Watcher
from tests.lab.topology import Lab, build_lab

SIZES = (1, 1000, 10_000)
ROUNDS = {1: 7, 1000: 5, 10_000: 3}
# Each builds and announces the whole table anew, which takes a minute for 10,000.
FLUSHES = {1: 7, 1000: 5, 10_000: 1}
BACKENDS = 2
STARTED_WITHIN_S = 600.0
WITHIN_S = 300.0
# A drained VIP is withdrawn after this time without new connections: after the order was lifted again.
SETTLE_S = 30
HEALTH_PORT = 8124  # telemetry.health_port by default
# The first VIP alone has its backends here, so that it alone breaks when the way there is lost.
LONE_NETWORK = "10.1.9.0/24"
LONE_BACKENDS = (IPv4Address("10.1.9.10"), IPv4Address("10.1.9.11"))


@dataclass(frozen=True, slots=True)
class Heard:
    """When the router heard of the first and of the last of the VIPs concerned, in seconds after the cause."""

    first_s: float
    last_s: float


@dataclass
class Scene:
    """One director on a cluster, and the router that listens to it. ``spare`` are Services that are not there yet."""

    lab: Lab
    node: Node
    api: Api
    watcher: Watcher
    vips: set[Address]
    spare: list[DesiredService]
    label: str
    report: Report
    samples: dict[str, list[float]] = field(default_factory=dict)

    def hear(self, kind: str, vips: Collection[Address], act: Callable[[], object]) -> Heard:
        """Do something and wait until the router has heard that of all these VIPs.

        Raises:
            AssertionError: it did not within WITHIN_S.
        """
        self.watcher.changes()
        heard: dict[Address, float] = {}
        started_s = time.time()
        act()

        def complete() -> bool:
            for change in self.watcher.changes():
                if change.kind == kind and change.vip in vips:
                    heard.setdefault(change.vip, change.at_s)
            return len(heard) == len(vips)

        self.wait(complete, f"{len(vips)} VIPs to be {kind}")
        return Heard(min(heard.values()) - started_s, max(heard.values()) - started_s)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that the director is to bring about.

        Raises:
            AssertionError: it did not within WITHIN_S, or it ended; the text holds the end of what it said.
        """
        cluster.wait([self.node], condition, WITHIN_S, what)

    def note(self, what: str, value_s: float) -> None:
        """Keep a sample."""
        self.samples.setdefault(what, []).append(value_s)

    def tell(self, what: str, *, most: float | None = None) -> None:
        """Report the median of what was noted, and the slowest where that has a bound."""
        samples = self.samples[what]
        self.report.add_median(f"{self.label}: {what}", samples)
        if most is not None:
            self.report.add(f"  p99 (the slowest of {len(samples)})", max(samples), "s", most=most)

    def order(self, verb: str) -> None:
        """Give the director an order, without a process of its own, which takes a second here."""
        ask(self.node.director.folder / "run/control.sock", verb, {})


def measure(report: Report, number: int) -> None:
    """One director with so many VIPs, one Service and two backends each, and the double of an API server."""
    wanted = services(number + ROUNDS[number], BACKENDS)
    lone = replace(wanted[0], backends=canonical(map(Backend, LONE_BACKENDS)))
    present, spare = (lone, *wanted[1:number]), list(wanted[number:])
    label = f"{number:,} VIP{'s' if number > 1 else ''}"
    with build_lab() as lab, lab.directors[0].network(), Double() as double:
        fill(double.store, present)
        api = Api(double, NAMESPACE)
        started_s = time.monotonic()
        sources = f"{{kubernetes: {{kubeconfig: {double.kubeconfig()}}}}}"
        node = cluster.start(lab, lab.directors[0], sources, settle_s=SETTLE_S)
        cluster.wait([node], lambda: routes(lab) == number, STARTED_WITHIN_S, f"{label} at the router")
        report.add(f"{label}: director start -> all at the router", time.monotonic() - started_s, "s")
        vips: set[Address] = {each.key.vip for each in present}
        scene = Scene(lab, node, api, Watcher(lab.router), vips, spare, label, report)
        rounds = dict.fromkeys((new_service, one_breaks, drained, killed), ROUNDS[number])
        for part, times in {**rounds, all_break: FLUSHES[number]}.items():
            started_s = time.monotonic()
            part(scene, times)
            say(f"{label}: {part.__name__} took {time.monotonic() - started_s:.0f} s")


def new_service(scene: Scene, rounds: int) -> None:
    """A Service is created and given its VIP; its endpoints are there already."""
    what = "new Service at the API -> route at the router"
    for number in range(rounds):
        new = scene.spare.pop()
        scene.api.create(slice_of(new))
        pause(number)
        heard = scene.hear(ANNOUNCED, {new.key.vip}, lambda new=new: scene.api.create(service_of(new)))  # type: ignore[misc]
        scene.note(what, heard.last_s)
        scene.hear(WITHDRAWN, {new.key.vip}, lambda new=new: scene.api.delete("Service", NAMESPACE, name_of(new)))  # type: ignore[misc]
    scene.tell(what)


def one_breaks(scene: Scene, rounds: int) -> None:
    """One VIP loses the way to its backends, which no repair brings back; the others have theirs elsewhere."""
    what, lone = "one VIP's way to its backends lost -> route gone", {min(scene.vips, key=int)}
    with router_of(scene) as tell:
        for number in range(rounds):
            pause(number)
            heard = scene.hear(WITHDRAWN, lone, lambda: tell(f"route add unreachable {LONE_NETWORK}"))
            scene.note(what, heard.last_s)
            scene.hear(ANNOUNCED, lone, lambda: tell(f"route del unreachable {LONE_NETWORK}"))
    scene.tell(what, most=WITHDRAWAL_WANTED_S)


def drained(scene: Scene, rounds: int) -> None:
    """The node is drained, and the order lifted before anything is withdrawn."""
    first, last = "drain -> first VIP de-preferred at the router", "drain -> all of them"
    for number in range(rounds):
        pause(number)
        heard = scene.hear(CHANGED, scene.vips, lambda: scene.order("drain"))
        scene.note(first, heard.first_s)
        scene.note(last, heard.last_s)
        scene.hear(CHANGED, scene.vips, lambda: scene.order("undrain"))
    scene.tell(first)
    scene.tell(last)


def killed(scene: Scene, rounds: int) -> None:
    """The daemon is killed and started again at once; the router is to hear nothing of it."""
    what = "SIGKILL -> adopted, first full pass done"
    director = scene.node.director
    for number in range(rounds):
        pause(number)
        scene.watcher.changes()
        started_s = time.monotonic()
        scene.node.daemon.kill()
        scene.node.daemon = director.start_daemon((director.folder / "appliance.yaml").read_text())
        scene.wait(is_ready, "the next director to be ready")
        scene.note(what, time.monotonic() - started_s)
        heard = scene.watcher.changes()
        said = scene.node.daemon.text()[-cluster.LOG_SHOWN :]
        assert not heard, f"the router heard {len(heard)} times of a director killed and restarted: {heard[:3]}\n{said}"
    scene.tell(what)


def all_break(scene: Scene, rounds: int) -> None:
    """The table is flushed again and again, until every VIP is withdrawn."""
    first, last = "IPVS flushed again and again -> first route gone", "IPVS flushed again and again -> all routes gone"
    back = "IPVS left alone -> all routes back"
    for number in range(rounds):
        settle(number)
        flusher = waiting_flusher(scene.node)
        try:
            heard = scene.hear(WITHDRAWN, scene.vips, lambda flusher=flusher: go(flusher))  # type: ignore[misc]
        finally:
            flusher.kill()
            flusher.wait()
        scene.note(first, heard.first_s)
        scene.note(last, heard.last_s)
        started_s = time.monotonic()
        scene.wait(lambda: routes(scene.lab) == len(scene.vips), "all routes to be back")
        scene.note(back, time.monotonic() - started_s)
        say(f"gone: first {heard.first_s:.2f} s, all {heard.last_s:.2f} s; back {scene.samples[back][-1]:.1f} s later")
    scene.tell(first)
    scene.tell(last, most=WITHDRAWAL_WANTED_S)
    scene.tell(back)


def pause(number: int) -> None:
    """Let BIRD be told at once, which is not more than once a second, and meet timers at another moment each time."""
    time.sleep(1.5 + number * 0.37 % 1.0)


def go(flusher: subprocess.Popen[bytes]) -> None:
    """Let it begin."""
    assert flusher.stdin is not None
    flusher.stdin.write(b"go\n")
    flusher.stdin.close()


@contextlib.contextmanager
def router_of(scene: Scene) -> Iterator[Callable[[str], None]]:
    """Something that carries out ``ip`` commands at the director at once: to start a process takes 0.1 s here."""
    argv = ["ip", "-n", scene.node.director.name, "-batch", "-"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        stdin = process.stdin
        yield lambda command: print(command, file=stdin)


def is_ready() -> bool:
    """Whether /readyz says that the sources have spoken and a pass is done; asked from the director's network."""
    connection = http.client.HTTPConnection("127.0.0.1", HEALTH_PORT, timeout=WITHIN_S)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False
