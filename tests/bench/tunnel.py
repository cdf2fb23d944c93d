"""A worker with 250 pods of 4 VIPs each: the first round, one with nothing to do, one change, one container more."""

import asyncio
import contextlib
import io
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network

from appliance.host.kernel import HostKernel
from appliance.isolation import syscalls
from appliance.model.address import Address
from appliance.model.desired import Backend, DesiredService, Snapshot
from appliance.model.pod import Pod, PodKey
from appliance.model.service import Protocol, ServiceKey
from appliance.telemetry.journal import Journal
from appliance.tunnel.agent import Agent
from appliance.tunnel.modules import LEGACY_FIREWALL
from appliance.tunnel.place import Places
from appliance.tunnel.ports import Ports, Settings
from tests.bench.figures import Report, say
from tests.fakes.tunnel import FakeConditions, FakeContainers, FakeFeed

PODS, VIPS = 250, 4
POOL = ip_network("10.50.0.0/24")
RESYNC_S = 3600.0
WITHIN_S = 900.0
_NEW = "f" * 64


def measure(report: Report) -> None:
    """Real namespaces and the real kernel; who says what there should be is a stand-in."""
    with namespaces(PODS) as pids:
        asyncio.run(_measure(report, pids))


@contextlib.contextmanager
def namespaces(number: int) -> Iterator[list[int]]:
    """So many processes, each in a network namespace of its own."""
    pids = [_child() for _ in range(number)]
    try:
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _child() -> int:
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        syscalls.new_network()
        os.write(told, b"x")
        signal.pause()
        os._exit(0)
    os.read(ready, 1)
    os.close(ready)
    os.close(told)
    return pid


def services(vips: int) -> tuple[DesiredService, ...]:
    """Each with all pods as backends."""
    backends = tuple(
        Backend(IPv4Address("10.1.0.0") + number, target=f"pod-{number}", is_pod=True) for number in range(PODS)
    )
    keys = [ServiceKey(ip_address(f"10.50.0.{number + 1}"), Protocol.TCP, 80) for number in range(vips)]
    return tuple(DesiredService(key, f"default/s{place}", "mh", backends=backends) for place, key in enumerate(keys))


def owned(address: Address) -> bool:
    return address in POOL


async def _measure(report: Report, pids: list[int]) -> None:
    containers, said, pods = FakeContainers(), FakeFeed[Snapshot](), FakeFeed[dict[PodKey, Pod]]()
    found = {}
    for number, pid in enumerate(pids):
        name = f"{number:064x}"
        containers.pids[name] = pid
        key = PodKey("default", f"pod-{number}")
        found[key] = Pod(key, uid=key.name, container=f"containerd://{name}")
    # Where the kernel has no nftables; the agent does the same.
    HostKernel().load_modules(LEGACY_FIREWALL)
    with Places(owned) as places:
        say(f"{PODS} pods x {VIPS} VIPs, rules by {places.firewall}")
        ports = Ports(said, pods, containers, places, FakeConditions())
        settings = Settings("bench", owned, (ip_network("10.0.11.0/24"),), RESYNC_S, 0.0)
        agent = Agent(ports, settings, Journal(io.StringIO()), time.monotonic)
        task = asyncio.create_task(agent.run())
        started_s = time.monotonic()
        said.say(Snapshot("bench", services(VIPS)))
        pods.say(found)
        await _until(agent, VIPS)
        report.add(f"tunnel agent, first round of {PODS} pods x {VIPS} VIPs", time.monotonic() - started_s, "s")
        started_s = time.monotonic()
        for charge in agent.charges.values():
            charge.next_s = 0.0
            charge.stood = None
        pods.say(dict(found))
        await _until(agent, VIPS)
        report.add("tunnel agent, round with nothing to do", time.monotonic() - started_s, "s")
        started_s = time.monotonic()
        said.say(Snapshot("bench", services(VIPS + 1)[:VIPS] + _for_one_pod()))
        await _until_one(agent)
        report.add("tunnel agent, one VIP more in one pod", time.monotonic() - started_s, "s", most=1)
        pids.append(_child())
        containers.pids[_NEW] = pids[-1]
        started_s = time.monotonic()
        key = PodKey("default", "pod-0")
        pods.say({**found, key: replace(found[key], container=f"containerd://{_NEW}")})
        await _until_one(agent, _NEW)
        report.add(
            "tunnel agent, container reported to run until its VIPs stand", time.monotonic() - started_s, "s", most=1
        )
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _for_one_pod() -> tuple[DesiredService, ...]:
    backend = Backend(IPv4Address("10.1.0.0"), target="pod-0", is_pod=True)
    return (
        DesiredService(
            ServiceKey(ip_address("10.50.0.99"), Protocol.TCP, 80), "default/one", "mh", backends=(backend,)
        ),
    )


async def _until(agent: Agent, vips: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not (  # noqa: ASYNC110 - the agent tells nobody
            len(agent.charges) == PODS
            and all(each.stood is not None and len(each.stood.vips) == vips for each in agent.charges.values())
        ):
            await asyncio.sleep(0.01)


async def _until_one(agent: Agent, container: str = f"{0:064x}") -> None:
    charge = agent.charges[PodKey("default", "pod-0")]

    def stands() -> bool:
        has_all = charge.stood is not None and len(charge.stood.vips) == VIPS + 1
        return has_all and charge.pod.container.endswith(container)

    async with asyncio.timeout(WITHIN_S):
        while not stands():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
