"""A whole tunnel agent on fakes and virtual time."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from appliance.model.desired import Backend, DesiredService, Snapshot
from appliance.model.happening import Reason
from appliance.model.pod import Pod, PodKey
from appliance.model.service import Protocol, ServiceKey
from appliance.telemetry.journal import Journal
from appliance.tunnel.agent import Agent
from appliance.tunnel.ports import Ports, Settings
from tests.fakes.outside import VirtualTimeLoop
from tests.fakes.publisher import FakePublisher
from tests.fakes.tunnel import FakeConditions, FakeContainers, FakeFeed, FakeNamespaces

POOL = ip_network("10.50.0.0/24")
VIP, VIP2 = "10.50.0.1", "10.50.0.2"
WEB = PodKey("default", "web-1")
RESYNC_S, LINGER_S, CONFIRM_S = 30.0, 90.0, 300.0


def pod(name: str = "web-1", number: int = 1, **fields: Any) -> Pod:
    container = f"containerd://{number:064x}" if number else ""
    return replace(Pod(PodKey("default", name), uid=name, container=container), **fields)


def service(vip: str = VIP, *pods: str) -> DesiredService:
    backends = tuple(
        Backend(ip_address(f"10.1.0.{place + 1}"), target=name, is_pod=True, ready=False)
        for place, name in enumerate(pods or ("web-1",))
    )
    return DesiredService(ServiceKey(ip_address(vip), Protocol.TCP, 80), "default/web", "mh", backends=backends)


class Worker:
    """An agent with everything around it. The process of container N has the pid N."""

    def __init__(self) -> None:
        self.services, self.pods = FakeFeed[Snapshot](), FakeFeed[Mapping[PodKey, Pod]]()
        self.containers, self.namespaces = FakeContainers(), FakeNamespaces(POOL)
        self.conditions, self.publisher = FakeConditions(), FakePublisher()
        self.log = io.StringIO()
        loop = asyncio.get_running_loop()
        ports = Ports(self.services, self.pods, self.containers, self.namespaces, self.conditions, self.publisher)
        settings = Settings(
            "worker1", self.namespaces.owned, (ip_network("10.0.11.0/24"),), RESYNC_S, LINGER_S, CONFIRM_S
        )
        self.agent = Agent(ports, settings, Journal(self.log), loop.time)

    def say(self, *services: DesiredService) -> None:
        self.services.say(Snapshot("kubernetes", services))

    def relist(self, *services: DesiredService) -> None:
        """As say, but from a list, which only leaves out what is gone."""
        self.services.say(Snapshot("kubernetes", services, listed=True))

    def have(self, *pods: Pod) -> None:
        """The node has these pods; whatever containers they name run."""
        for each in pods:
            if each.container:
                number = int(each.container.rpartition("/")[2], 16)
                self.containers.pids[f"{number:064x}"] = number
                if number not in self.namespaces.seen:
                    self.namespaces.make(number)
        self.pods.say({each.key: each for each in pods})

    def reasons(self) -> list[Reason]:
        return [each.reason for each in self.publisher.told]

    async def until(self, condition: Callable[[], object], within_s: float = 600.0) -> float:
        """Wait on virtual time; returns how long that took."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while not condition():
            assert loop.time() - began_s < within_s, f"not within {within_s} s: {self.log.getvalue()}"
            await asyncio.sleep(0.01)
        return loop.time() - began_s


@asynccontextmanager
async def working() -> AsyncIterator[Worker]:
    worker = Worker()
    task = asyncio.create_task(worker.agent.run())
    try:
        yield worker
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def play(story: Callable[[Worker], Coroutine[Any, Any, None]]) -> None:
    async def played() -> None:
        async with working() as worker:
            await story(worker)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(played())
