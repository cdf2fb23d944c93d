"""Row 17 on this machine's own processors: a director that follows an API server in a storm, on a fake kernel.

STORM_S=600 has the ten minutes of the row; `make storm` says so.
"""

import asyncio
import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import pytest

from appliance.director.loop import Director
from appliance.model.desired import ServiceDefaults
from appliance.model.service import Protocol, ServiceKey
from appliance.sources.kubernetes.source import KubernetesSource, Scope
from appliance.sources.kubernetes.transport import KubernetesCluster
from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.objects import Object, endpoint_slice, resource_of, service
from tests.kube.store import Key
from tests.kube.storm import resident_kb
from tests.unit.director.harness import OTHER_VIP, POOL, VIP, Node, until

STORM_S = float(os.environ.get("STORM_S", "30"))
EVENTS_PER_S = 1000.0
LAG_S = 5.0
SERVERS = ("10.1.0.1", "10.1.0.2", "10.1.0.3")
MARK = ServiceKey(OTHER_VIP, Protocol.TCP, 80)
SHARED = [VIP + number for number in range(10, 60)]


class Told(NamedTuple):
    """What the server's process says: how many changes a second there were, and when the mark had so many backends."""

    per_s: float
    marks: list[tuple[float, int]]


def serve(pipe: Connection) -> None:
    """An API server with its storm, in a process of its own: each change takes a backend from a Service or adds it."""
    with Double() as double:
        api = Api(double, "shop")
        for name, vip in [("mark", OTHER_VIP), *((f"s{number}", vip) for number, vip in enumerate(SHARED))]:
            api.create_all([service(name, vips=[str(vip)]), endpoint_slice(name, SERVERS)])
        pipe.send(double.kubeconfig())
        pipe.recv()
        slices = resource_of(endpoint_slice("any", SERVERS))
        marks: list[tuple[float, int]] = []
        began_s, sent, wanted = time.monotonic(), 0, itertools.cycle((2, 3))

        def scaled(servers: int, standing: Object) -> Object:
            endpoints = [{**standing["endpoints"][0], "addresses": [each]} for each in SERVERS[:servers]]
            return {**standing, "endpoints": endpoints}

        while (now_s := time.monotonic() - began_s) < STORM_S:
            if now_s > len(marks) + 1:
                marks.append((time.monotonic(), next(wanted)))
                double.store.update(slices, named("mark"), partial(scaled, marks[-1][1]))
            name, servers = f"s{sent % len(SHARED)}", 2 + sent // len(SHARED) % 2
            double.store.update(slices, named(name), partial(scaled, servers))
            sent += 1
            time.sleep(max(0.0, began_s + sent / EVENTS_PER_S - time.monotonic()))
        pipe.send(Told(sent / (time.monotonic() - began_s), marks))
        pipe.recv()


def named(name: str) -> Key:
    """Where the EndpointSlice of a Service stands."""
    return "shop", endpoint_slice(name, SERVERS)["metadata"]["name"]


@contextmanager
def server() -> Iterator[Connection]:
    ours, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(its,), daemon=True)
    process.start()
    its.close()
    try:
        yield ours
        ours.send("over")
        process.join(20)
    finally:
        process.kill()
        process.join()


@asynccontextmanager
async def director(node: Node, kubeconfig: Path, scratch: Path) -> AsyncIterator[Director]:
    cluster = KubernetesCluster(kubeconfig, None, scratch)
    node.others["kubernetes"] = KubernetesSource(cluster, Scope(), ServiceDefaults(), lambda _: None)
    node.want()
    async with node.running() as running:
        yield running


def test_fault_17_a_thousand_events_a_second_are_followed_within_the_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = Node(tmp_path)
    node.configure(networks=(POOL,), drain_time_s=2.0)
    seen: list[tuple[float, int]] = []
    memory_kb: list[int] = []

    def backends() -> int:
        found = node.ipvs.dump().get(MARK)
        return sum(each.weight > 0 for each in found.destinations) if found else 0

    async def story(pipe: Connection) -> Told:
        kubeconfig = await asyncio.to_thread(pipe.recv)
        async with director(node, kubeconfig, tmp_path / "scratch") as running:
            await until(lambda: len(node.router.held) == len(SHARED) + 1, 30)
            history = len(node.router.history)
            pipe.send("begin")
            seen.append((time.monotonic(), backends()))
            looked_s = 0.0
            while not pipe.poll():
                if backends() != seen[-1][1]:
                    seen.append((time.monotonic(), backends()))
                if time.monotonic() - looked_s > 1:
                    looked_s = time.monotonic()
                    memory_kb.append(resident_kb(os.getpid()))
                await asyncio.sleep(0.02)
            told: Told = pipe.recv()
            await asyncio.sleep(LAG_S)
            seen.append((time.monotonic(), backends()))
            assert len(node.router.history) == history, "a route moved"
            assert not running.context.standing.all
            return told

    with server() as pipe:
        told = asyncio.run(story(pipe))
    lags_s = [lag(at_s, servers, seen) for at_s, servers in told.marks]
    growth = slope(memory_kb[len(memory_kb) // 3 :])
    with capsys.disabled():
        print(
            f"\n{told.per_s:.0f} events/s for {STORM_S:g} s: lag {max(lags_s):.2f} s at most, "
            f"{statistics.median(lags_s):.2f} s as a rule; {memory_kb[-1]} kB resident, {growth:+.1f} kB/s"
        )
    assert max(lags_s) < LAG_S
    # What a leak of 100 bytes an event would be; the allocator's own steps are below that.
    assert growth < EVENTS_PER_S * 0.1, memory_kb


def lag(at_s: float, servers: int, seen: list[tuple[float, int]]) -> float:
    """Seconds from a change of the mark until the kernel held it."""
    return next((found_s - at_s for found_s, number in seen if found_s >= at_s and number == servers), float("inf"))


def slope(values: list[int]) -> float:
    """What a straight line through values taken every second gains in each."""
    return statistics.linear_regression(range(len(values)), values).slope
