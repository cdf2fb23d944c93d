"""What a scrape costs: its time and size, and how long it keeps the director's loop from other work."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from appliance.director import garbage
from appliance.director.loop import GLANCE, Director
from appliance.director.observability import metrics_routes
from appliance.director.scrape import Scraper
from appliance.ipvs.kernel import IpvsKernel
from appliance.telemetry.http import Endpoint, Listeners, serve
from tests.bench.figures import Report
from tests.bench.footprint import resident_mb
from tests.bench.passes import FULL, SERVICES, settled
from tests.bench.workload import bare_host

ROUNDS = 5
REST_S = 3.0
TICK_S = 0.001
PLACE = Endpoint("telemetry.metrics_port", ip_address("127.0.0.1"), 8123)
CLIENT = f"""while read encoding; do
  curl -sS --fail -o /dev/null -w '%{{size_download}}\\n' -H "Accept-Encoding: $encoding" \\
    http://{PLACE.address}:{PLACE.port}/metrics || echo failed
done"""
STALL_WANTED_S = 0.05
WITHDRAWAL_WANTED_S = 1.0


class Client:
    """Another program that scrapes, started once: a fork of this process would stall the loop that is watched."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def scrape(self, encoding: str) -> int:
        """Scrape once; returns the bytes that came over the wire."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{encoding}\n".encode())
        return int(await self._process.stdout.readline())


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    """A client that waits to be told to scrape."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("sh", "-c", CLIENT, stdin=pipe, stdout=pipe)
    try:
        yield Client(process)
    finally:
        process.kill()
        await process.wait()


def measure(report: Report) -> None:
    """Bring a director to rest on 2,000 services and scrape it over HTTP, by a client in another process."""
    with bare_host() as host:
        asyncio.run(_measure(report, host.folder))


async def _measure(report: Report, folder: Path) -> None:
    async with AsyncExitStack() as stack:
        resources = stack.enter_context(ExitStack())
        director = await settled(resources, folder)
        stack.callback(gc.set_threshold, *gc.get_threshold())
        garbage.spare_what_lasts()  # as the daemon does
        counting = resources.enter_context(IpvsKernel())
        curl = await stack.enter_async_context(client())
        for destinations in (True, False):
            what = f"{SERVICES} x 10" if destinations else f"{SERVICES} services alone"
            scraper = Scraper(director.context, counting, "bench", destinations=destinations)
            async with served(scraper):
                if destinations:
                    await rest(report, director)
                await rounds(report, what, "identity", director, curl)
                await rounds(report, what, "gzip", director, curl)
        report.add("resident memory after it all", resident_mb(os.getpid()), "MB")


async def rest(report: Report, director: Director) -> None:
    """What there is to compare with: the same loop without a scrape."""
    report.add("resident memory before the first scrape", resident_mb(os.getpid()), "MB")
    async with watched(director) as seen:
        await asyncio.sleep(REST_S)
    report.add("longest stall of the loop without a scrape", max(seen.stalls_s), "s")
    report.add_median("glance without a scrape", seen.glances_s)
    report.add_median("full pass without a scrape", [await full_pass(director) for _ in range(ROUNDS)])


async def rounds(report: Report, what: str, encoding: str, director: Director, curl: Client) -> None:
    """Scrape one after the other, and watch the loop meanwhile."""
    took_s, sizes = [], []
    async with watched(director) as seen:
        for _ in range(ROUNDS):
            started_s = time.monotonic()
            sizes.append(await curl.scrape(encoding))
            took_s.append(time.monotonic() - started_s)
    report.add_median(f"scrape of {what}, {encoding}", took_s)
    report.add("  of so many bytes", sizes[-1] / 1e6, "MB")
    report.add("  longest stall of the loop", max(seen.stalls_s), "s", most=STALL_WANTED_S)
    report.add("  longest glance meanwhile", max(seen.glances_s), "s", most=WITHDRAWAL_WANTED_S)
    scraping = asyncio.create_task(curl.scrape(encoding))
    await asyncio.sleep(0)
    report.add("  full pass begun with it", await full_pass(director), "s")
    await scraping


@dataclass
class Seen:
    """What a watch over the loop saw: how late it woke a sleeper, how long a look of the canary took."""

    stalls_s: list[float] = field(default_factory=list)
    glances_s: list[float] = field(default_factory=list)


@asynccontextmanager
async def watched(director: Director) -> AsyncIterator[Seen]:
    """Watch the loop while the block runs."""
    seen = Seen()
    tasks = [asyncio.create_task(_tick(seen)), asyncio.create_task(_glance(seen, director))]
    try:
        yield seen
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.wait(tasks)


async def _tick(seen: Seen) -> None:
    while True:
        started_s = time.monotonic()
        await asyncio.sleep(TICK_S)
        seen.stalls_s.append(time.monotonic() - started_s - TICK_S)


async def _glance(seen: Seen, director: Director) -> None:
    while True:
        await asyncio.sleep(0.1)
        started_s = time.monotonic()
        await asyncio.shield(director.reconcile(GLANCE))
        seen.glances_s.append(time.monotonic() - started_s)


async def full_pass(director: Director) -> float:
    """Seconds that it takes to read and compare everything."""
    started_s = time.monotonic()
    await director.reconcile(FULL)
    return time.monotonic() - started_s


@asynccontextmanager
async def served(scraper: Scraper) -> AsyncIterator[None]:
    """The scraper's page on loopback while the block runs."""
    with Listeners() as listeners:
        listeners.take([PLACE])
        task = asyncio.create_task(serve(listeners.socket(PLACE), metrics_routes(scraper)))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await scraper.close()
