"""How a director follows a cluster of 2,000 Services: from nothing, one change at a time, and many a second."""

import random
import time
from collections.abc import Iterator
from statistics import quantiles

from appliance.ipvs.kernel import IpvsKernel
from appliance.model.desired import DesiredService
from tests.bench import cluster
from tests.bench.figures import Report, say
from tests.bench.footprint import cpu_s, routes
from tests.bench.objects import NAMESPACE, service_of, slice_of
from tests.bench.workload import BACKENDS, services
from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.objects import Object, resource
from tests.lab.topology import build_lab

SERVICES = 2000
WITHIN_S = 300.0
CHANGES = 200
PAUSE_S = 0.2
POLL_S = 0.002
STORM_S = 20.0
STORM_PER_S = 200
P99_WANTED_S = 0.25


def measure(report: Report) -> None:
    """One director, and the double of an API server in its network."""
    wanted = services(SERVICES)
    with build_lab() as lab, lab.directors[0].network(), Double() as double:
        api = Api(double, NAMESPACE)
        api.create_all(item for each in wanted for item in (service_of(each), slice_of(each)))
        started_s = time.monotonic()
        node = cluster.start(lab, lab.directors[0], f"{{kubernetes: {{kubeconfig: {double.kubeconfig()}}}}}")
        cluster.wait([node], lambda: routes(lab) == SERVICES, WITHIN_S, f"{SERVICES} routes at the router")
        report.add(
            f"director start -> cluster of {SERVICES} x {BACKENDS} at the router", time.monotonic() - started_s, "s"
        )
        _one_by_one(report, api, wanted)
        _storm(report, api, wanted, node.daemon.popen.pid)


def _one_by_one(report: Report, api: Api, wanted: tuple[DesiredService, ...]) -> None:
    """One endpoint stops being ready, and later one of another Service, until the kernel is read to have it."""
    chance = random.Random(1)  # noqa: S311 - nobody is to be kept from guessing it
    times = []
    with IpvsKernel() as kernel:
        for each in chance.sample(wanted, CHANGES):
            time.sleep(PAUSE_S)
            started_s = time.monotonic()
            api.replace(slice_of(each, not_ready=chance.randrange(BACKENDS)))
            while not any(one.weight == 0 for one in kernel.read([each.key])[each.key].destinations):
                if time.monotonic() - started_s > WITHIN_S:
                    raise AssertionError(f"a change of {each.key} did not come to the kernel")
                time.sleep(POLL_S)
            times.append(time.monotonic() - started_s)
    report.add_median("one endpoint changes -> kernel has it", times)
    # A change that meets a full pass waits for its end; the slowest of a run is one that came at its start.
    report.add(f"  p99 of {CHANGES}", quantiles(times, n=100)[-1], "s", most=P99_WANTED_S)
    report.add("  slowest", max(times), "s")


def _storm(report: Report, api: Api, wanted: tuple[DesiredService, ...], pid: int) -> None:
    """Endpoints of random Services stop being ready and come back, so many a second, over one connection."""
    say(f"{STORM_PER_S} endpoint changes a second for {STORM_S:.0f} s")
    before_s, started_s = cpu_s(pid), time.monotonic()
    done = sum(1 for answer in api.client.request_each("PUT", _changes(wanted, started_s)) if answer.expect(200))
    elapsed_s = time.monotonic() - started_s
    report.add("endpoint changes a second that were made", done / elapsed_s, "")
    report.add("  director's CPU meanwhile", 100 * (cpu_s(pid) - before_s) / elapsed_s, "% of a core")


def _changes(wanted: tuple[DesiredService, ...], started_s: float) -> Iterator[tuple[str, Object]]:
    chance = random.Random(2)  # noqa: S311 - as above
    home = resource("EndpointSlice", "discovery.k8s.io/v1")
    for number in range(int(STORM_S * STORM_PER_S)):
        time.sleep(max(started_s + number / STORM_PER_S - time.monotonic(), 0))
        item = slice_of(chance.choice(wanted), not_ready=chance.randrange(-1, BACKENDS))
        yield home.path(NAMESPACE, item["metadata"]["name"]), item
