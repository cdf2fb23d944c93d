"""A whole director on fakes and virtual time: what a test sets up, breaks and looks at."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

from appliance.decide.gate import GatePolicy
from appliance.director.context import Context
from appliance.director.loop import Director
from appliance.director.ports import Ports, Publisher, Source
from appliance.director.record import Ending
from appliance.director.settings import Settings
from appliance.director.wakes import Scope
from appliance.model.address import Address
from appliance.model.desired import Backend, DesiredService, Snapshot, canonical
from appliance.model.service import Protocol, ServiceFlag, ServiceKey
from appliance.telemetry.journal import Journal
from tests.fakes.guard import FakeGuard
from tests.fakes.host import FakeHost
from tests.fakes.kernel import FakeIpvs, FakeRoutes, FakeVips
from tests.fakes.outside import FakeMonitor, FakeRouter, FakeSource
from tests.fakes.probing import FakeProber

POOL = ip_network("10.50.0.0/24")
VIP = ip_address("10.50.0.1")
OTHER_VIP = ip_address("10.50.0.2")


def key(vip: Address = VIP, port: int = 80) -> ServiceKey:
    return ServiceKey(vip, Protocol.TCP, port)


def web(vip: Address = VIP, port: int = 80, *, backends: int = 3, ready: int | None = None) -> DesiredService:
    """A service with ``backends`` backends, the first ``ready`` of them ready."""
    ready = backends if ready is None else ready
    return DesiredService(
        key(vip, port),
        f"default/web-{vip}-{port}",
        "mh",
        ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2,
        backends=canonical(Backend(ip_address(f"10.1.0.{n + 1}"), ready=n < ready) for n in range(backends)),
    )


class Node:
    """A director with everything around it. ``others`` are further sources, ``publisher`` gets what happens."""

    def __init__(self, directory: Path) -> None:
        self.ipvs, self.link, self.routes = FakeIpvs(), FakeVips(), FakeRoutes()
        self.monitor, self.router, self.source = FakeMonitor(), FakeRouter(), FakeSource()
        self.others: dict[str, Source] = {}
        self.publisher: Publisher | None = None
        self.prober: FakeProber | None = None
        self.host: FakeHost | None = None
        self.guard: FakeGuard | None = None
        self.on_pass: Callable[[Context, Scope, Ending], None] | None = None
        self.log = io.StringIO()
        self.settings = Settings("d1", (POOL,), directory, GatePolicy(rise=3, apart_s=0.2), drain_time_s=30.0)

    def director(self) -> Director:
        sources: dict[str, Source] = {"file": self.source, **self.others}
        ports = Ports(
            self.ipvs,
            self.link,
            self.routes,
            self.monitor,
            self.router,
            sources,
            self.publisher,
            self.prober,
            self.host,
            self.guard,
        )
        clock = asyncio.get_running_loop().time
        return Director(self.settings, ports, Journal(self.log, prefix=False), clock, clock, on_pass=self.on_pass)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Director]:
        """A director that runs while the block does, and dies without a word behind it."""
        director = self.director()
        task = asyncio.create_task(director.run())
        try:
            yield director
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def want(self, *services: DesiredService) -> None:
        self.source.say(Snapshot("file", services))

    def configure(self, **changes: object) -> None:
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]  # names come from the test


async def until(condition: Callable[[], object], within_s: float = 10.0) -> float:
    """Wait on virtual time until ``condition`` holds; returns how long that took."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    while not condition():
        if loop.time() - started_s > within_s:
            raise AssertionError(f"not within {within_s} s")
        await asyncio.sleep(0.01)
    return loop.time() - started_s
