"""A real server dies: how soon our probes and keepalived's TCP checker have taken it out, in one run.

Both probe once a second, take an answer that is half a second late for none, and believe the second failure. Ours
asks again when the server's next turn comes, a second later. keepalived asks again after a time of its own: it is
measured with the same second, and with the least that it does well with.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance.ipvs.kernel import IpvsKernel
from appliance.model.desired import Backend, DesiredService, canonical
from appliance.model.service import Protocol, ServiceKey
from tests.bench import cluster
from tests.bench.figures import Report, say
from tests.bench.keepalived import GLOBALS, Checker, running, virtual_server
from tests.bench.withdrawal import settle
from tests.bench.workload import MH_FLAGS
from tests.lab.hosts import wait_until
from tests.lab.topology import Lab, Server, build_lab

ROUNDS = 10
FAILURES = 2
INTERVAL_S, TIMEOUT_S = 1.0, 0.5
CHECKS = f"checks: {{mode: tunnel, interval_s: {INTERVAL_S}, timeout_s: {TIMEOUT_S}, rise: 2, fall: {FAILURES}}}\n"
VIP, FAST_VIP = "10.50.0.1", "10.50.0.2"
SAME = Checker(INTERVAL_S, TIMEOUT_S, FAILURES - 1, INTERVAL_S)
FAST = Checker(INTERVAL_S, TIMEOUT_S, FAILURES - 1, 0.1)
STARTED_WITHIN_S = 60.0
WITHIN_S = 30.0
POLL_S = 0.004

Revival = Callable[[], object]


@dataclass
class Watched:
    """One service in one kernel, whose destinations are watched."""

    name: str
    kernel: IpvsKernel
    key: ServiceKey

    def serving(self) -> set[str]:
        """The servers that get new connections."""
        observed = self.kernel.read([self.key]).get(self.key)
        return {str(each.address) for each in observed.destinations if each.weight} if observed else set()


def measure(report: Report) -> None:
    """Ours on one director, keepalived on the other; the same server dies for both."""
    with build_lab() as lab, contextlib.ExitStack() as stack:
        lab.serve(VIP, FAST_VIP)
        cluster.serving(lab).write("web", VIP)
        node = cluster.start(lab, lab.directors[0], settings=CHECKS)
        text = GLOBALS + virtual_server(service(lab, VIP), SAME) + virtual_server(service(lab, FAST_VIP), FAST)
        stack.enter_context(running(lab.directors[1], text))
        ours, theirs = (stack.enter_context(kernel_of(lab, number)) for number in (0, 1))
        watched = [
            Watched("appliance", ours, key(VIP)),
            Watched("keepalived, second try after 1 s", theirs, key(VIP)),
            Watched("keepalived, second try after 0.1 s", theirs, key(FAST_VIP)),
        ]
        cluster.wait([node], lambda: all_in(lab, watched), STARTED_WITHIN_S, "all servers in all tables")
        for what, death in (("program ended", program_ends), ("silent", falls_silent)):
            rounds(report, lab, watched, what, death)


def rounds(report: Report, lab: Lab, watched: list[Watched], what: str, death: Callable[[Server], Revival]) -> None:
    """The servers take turns in dying."""
    took_s: dict[str, list[float]] = {each.name: [] for each in watched}
    for number in range(ROUNDS):
        server = lab.servers[number % len(lab.servers)]
        settle(number)
        started_s = time.monotonic()
        revive = death(server)
        for name, at_s in found_dead(watched, str(server.address4)).items():
            took_s[name].append(at_s - started_s)
        say(f"round {number + 1}, {what}: " + ", ".join(f"{name} {took_s[name][-1]:.2f} s" for name in took_s))
        revive()
        wait_until(lambda: all_in(lab, watched), WITHIN_S, "all servers in all tables")
    medians = [report.add_median(f"real server {what} -> weight 0, {name}", took_s[name]) for name in took_s]
    for name, theirs in zip(list(took_s)[1:], medians[1:], strict=True):
        report.add(f"  how many times {name}", medians[0] / theirs, "x")


def program_ends(server: Server) -> Revival:
    """Its program is killed: the kernel refuses connections."""
    [program] = [each for each in server.processes if each.name.endswith("/realserver") and each.running]
    program.kill()
    return server.start_service


def falls_silent(server: Server) -> Revival:
    """Nothing that it says reaches a director, and nobody is told so."""
    routes = [f"blackhole {prefix}.0/24" for prefix in ("10.0.11", "10.0.12")]
    server.ip(*(f"route add {route}" for route in routes))
    return lambda: server.ip(*(f"route del {route}" for route in routes))


def found_dead(watched: list[Watched], address: str) -> dict[str, float]:
    """When each was first read not to give the server new connections.

    Raises:
        AssertionError: one still does after WITHIN_S.
    """
    at_s: dict[str, float] = {}
    deadline_s = time.monotonic() + WITHIN_S
    while len(at_s) < len(watched):
        for each in watched:
            if each.name not in at_s and address not in each.serving():
                at_s[each.name] = time.monotonic()
        assert time.monotonic() < deadline_s, f"only {', '.join(at_s) or 'nobody'} found that {address} is dead"
        time.sleep(POLL_S)
    return at_s


def all_in(lab: Lab, watched: list[Watched]) -> bool:
    """Whether every server gets new connections by every table."""
    servers = {str(server.address4) for server in lab.servers}
    return all(each.serving() == servers for each in watched)


def service(lab: Lab, vip: str) -> DesiredService:
    """The service on the lab's real servers."""
    backends = canonical(Backend(server.address4) for server in lab.servers)
    return DesiredService(key(vip), "bench/web", "mh", MH_FLAGS, backends=backends)


def key(vip: str) -> ServiceKey:
    """Port 80 of the VIP."""
    return ServiceKey(IPv4Address(vip), Protocol.TCP, 80)


@contextlib.contextmanager
def kernel_of(lab: Lab, number: int) -> Iterator[IpvsKernel]:
    """The table of one of the directors."""
    with lab.directors[number].network():
        kernel = IpvsKernel()
    with kernel:
        yield kernel
