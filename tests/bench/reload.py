"""One service more beside 1,000: how soon it stands, and what it costs the others; ours and keepalived, in one run.

Both get the whole configuration as a new file. Ours sees that by itself, keepalived is sent SIGHUP.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from appliance.ipvs.kernel import IpvsKernel
from appliance.model.desired import DesiredService
from tests.bench import cluster
from tests.bench.detection import kernel_of
from tests.bench.figures import Report, say
from tests.bench.footprint import cpu_s, routes, short_form
from tests.bench.keepalived import config, running
from tests.bench.workload import POOL, services
from tests.lab.hosts import wait_until
from tests.lab.topology import Director, build_lab

SERVICES = 1000
ROUNDS = 7
STARTED_WITHIN_S = 180.0
WITHIN_S = 60.0
# What is left to do once the service stands: ours proves and announces it, keepalived may have more to compare.
AFTER_S = 3.0
COUNTED_WITHIN_S = 10.0
POLL_S = 0.004


@dataclass
class Contender:
    """One of the two: how it is told of another set of services, its table, its processor time."""

    name: str
    kernel: IpvsKernel
    prepare: Callable[[Iterable[DesiredService]], object]
    tell: Callable[[], object]
    cpu_s: Callable[[], float]


def measure(report: Report) -> None:
    """Ours on one director, keepalived on the other, in turns; each gets one service more a round."""
    wanted = services(SERVICES + ROUNDS)
    first = wanted[:SERVICES]
    with build_lab() as lab, contextlib.ExitStack() as stack:
        folder = lab.client.folder / "services"
        folder.mkdir()
        (folder / "services.json").write_text(short_form(first))
        node = cluster.start(lab, lab.directors[0])
        cluster.wait([node], lambda: routes(lab) == SERVICES, STARTED_WITHIN_S, f"{SERVICES} routes at the router")
        peer = stack.enter_context(running(lab.directors[1], config(first)))
        kernels = [stack.enter_context(kernel_of(lab, number)) for number in (0, 1)]
        fresh = lab.client.folder / "services.json"
        contenders = [
            Contender(
                "appliance",
                kernels[0],
                lambda each: fresh.write_text(short_form(each)),
                lambda: fresh.rename(folder / "services.json"),
                lambda: cpu_s(node.daemon.popen.pid),
            ),
            Contender(
                "keepalived", kernels[1], lambda each: peer.config.write_text(config(each)), peer.reload, peer.cpu_s
            ),
        ]
        wait_until(lambda: stands(kernels[1], first), STARTED_WITHIN_S, f"keepalived to have {SERVICES} services")
        for director, kernel in zip(lab.directors, kernels, strict=True):
            use(director, first, kernel)
        compare(report, contenders, wanted)


def compare(report: Report, contenders: Sequence[Contender], wanted: Sequence[DesiredService]) -> None:
    """The rounds, and what became of the services that were there before them."""
    before = [each.kernel.dump() for each in contenders]
    took_s: dict[str, list[float]] = {each.name: [] for each in contenders}
    used_s: dict[str, list[float]] = {each.name: [] for each in contenders}
    for number in range(1, ROUNDS + 1):
        for each in contenders if number % 2 else contenders[::-1]:
            elapsed_s, cpu = one_round(each, wanted[: SERVICES + number])
            took_s[each.name].append(elapsed_s)
            used_s[each.name].append(cpu)
        say(f"round {number}: " + ", ".join(f"{name} {took_s[name][-1]:.2f} s" for name in took_s))
    ours, theirs = (
        report.add_median(f"one service beside {SERVICES} x 10 -> it stands, {name}", took_s[name]) for name in took_s
    )
    report.add("  how many times keepalived", ours / theirs, "x")
    for each, table in zip(contenders, before, strict=True):
        report.add_median(f"  processor time of {each.name} for it", used_s[each.name])
        now, counts = each.kernel.dump(), each.kernel.connections(table)
        otherwise = sum(now.get(key) != observed for key, observed in table.items())
        report.add(f"  others that stand otherwise in the end, {each.name}", otherwise, "services")
        report.add(
            f"  others that were away in between, {each.name}", sum(not counts.get(key) for key in table), "services"
        )


def one_round(contender: Contender, wanted: Sequence[DesiredService]) -> tuple[float, float]:
    """Seconds until the last of the services stands, and processor time until all is done."""
    contender.prepare(wanted)
    before_s, started_s = contender.cpu_s(), time.monotonic()
    contender.tell()
    while not stands(contender.kernel, wanted[-1:]):
        assert time.monotonic() - started_s < WITHIN_S, f"{contender.name} did not take {wanted[-1].key}"
        time.sleep(POLL_S)
    elapsed_s = time.monotonic() - started_s
    time.sleep(AFTER_S)
    return elapsed_s, contender.cpu_s() - before_s


def use(director: Director, wanted: Sequence[DesiredService], kernel: IpvsKernel) -> None:
    """Have every service count a connection: one that is removed and made anew later begins at 0 again.

    What the host itself sends to a VIP goes through its own IPVS too. Nobody answers; that does not matter.
    """
    director.ip(f"route add {POOL} via {director.link.router4}")
    for each in wanted:
        with director.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.setblocking(False)
            client.connect_ex((str(each.key.vip), each.key.port))
    # The kernel sums up what its processors count every 2 s (ip_vs_est.c).
    keys = [each.key for each in wanted]
    wait_until(lambda: all(kernel.connections(keys).values()), COUNTED_WITHIN_S, "every service to count a connection")


def stands(kernel: IpvsKernel, wanted: Sequence[DesiredService]) -> bool:
    """Whether these services are in the kernel with their scheduler and all of their servers."""
    found = kernel.read([each.key for each in wanted])
    return all(
        each.key in found
        and found[each.key].service.scheduler == each.scheduler
        and len(found[each.key].destinations) == len(each.backends)
        for each in wanted
    )
