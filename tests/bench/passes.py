"""What the director's full pass costs when there is nothing to do, against a mere listing by ipvsadm."""

import asyncio
import io
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from appliance.director.intent import accept
from appliance.director.loop import Director
from appliance.director.ports import Ports
from appliance.director.settings import Settings
from appliance.director.wakes import Scope
from appliance.ipvs.kernel import IpvsKernel
from appliance.model.desired import Snapshot
from appliance.routes.kernel import RouteKernel
from appliance.telemetry.journal import Journal
from appliance.vips.kernel import VipKernel
from tests.bench.figures import Report, say
from tests.bench.programming import timed
from tests.bench.workload import LINK, POOL, bare_host, services
from tests.fakes.outside import FakeMonitor, FakeRouter, FakeSource

SERVICES = 2000
ROUNDS = 7
FULL = Scope(everything=True, link=True)


def measure(report: Report) -> None:
    """Bring a director to rest on 2,000 services, then let it look in turns with ipvsadm."""
    with bare_host() as host:
        asyncio.run(_measure(report, host.folder))


async def _measure(report: Report, folder: Path) -> None:
    with ExitStack() as resources:
        director = await settled(resources, folder)
        passes, listings = [], []
        for _ in range(ROUNDS):
            started_s = time.monotonic()
            await director.reconcile(FULL)
            passes.append(time.monotonic() - started_s)
            listings.append(timed(list_with_ipvsadm))
    ours = report.add_median(f"pass with nothing to do at {SERVICES} x 10", passes)
    peer = report.add_median(f"ipvsadm -Ln at {SERVICES} x 10", listings)
    report.add("  how many times ipvsadm -Ln", ours / peer, "x", most=2)


async def settled(resources: ExitStack, folder: Path) -> Director:
    """A director with the real kernel and a stand-in for BIRD, whose VIPs are all announced."""
    settings = Settings("bench", (POOL,), folder)
    ports = Ports(
        resources.enter_context(IpvsKernel()),
        resources.enter_context(VipKernel(LINK)),
        resources.enter_context(RouteKernel()),
        FakeMonitor(),
        FakeRouter(),
        {"file": FakeSource()},
    )
    director = Director(settings, ports, Journal(io.StringIO()), time.monotonic)
    resources.callback(director.context.wakes.cancel)
    accept(director.context, "file", Snapshot("file", services(SERVICES)))
    started_s = time.monotonic()
    while len(director.context.memory.announce) < SERVICES:
        await director.reconcile(FULL)
    say(f"{SERVICES} services are programmed, proven and announced after {time.monotonic() - started_s:.1f} s")
    return director


def list_with_ipvsadm() -> None:
    """``ipvsadm -Ln``, its output thrown away."""
    subprocess.run(["ipvsadm", "-Ln"], stdout=subprocess.DEVNULL, check=True)
