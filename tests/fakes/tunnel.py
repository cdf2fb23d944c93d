"""Stand-ins for all that a tunnel agent touches: namespaces of pods, runtimes, the API server's two ends."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from appliance.decide.tunnel_steps import standing, steps
from appliance.errors import ContainerError, ContainerGone, KernelError, SourceError
from appliance.model.address import Address, Network
from appliance.model.pod import Condition, PodKey
from appliance.model.tunnel import (
    DEVICES,
    AddVip,
    CloseListener,
    CreateDevice,
    Listener,
    ObservedDevice,
    ObservedTunnel,
    OpenListener,
    RemoveRules,
    RemoveVip,
    SetDeviceDown,
    SetDeviceMtu,
    SetDeviceUp,
    SetReversePath,
    SetRules,
    Tended,
    TunnelStep,
    TunnelVip,
    TunnelWant,
)
from appliance.runtimes.resolver import ContainerId

_T = TypeVar("_T")


def applied(seen: ObservedTunnel, step: TunnelStep) -> ObservedTunnel:
    """What a kernel makes of a step; one that it would refuse fails here too."""
    match step:
        case SetRules(rules):
            return replace(seen, rules=rules, is_marked=True)
        case RemoveRules():
            return replace(seen, rules=None, is_marked=False)
        case OpenListener(listener):
            return replace(seen, listeners=seen.listeners | {listener})
        case CloseListener(listener):
            return replace(seen, listeners=seen.listeners - {listener})
        case _:
            return replace(seen, devices={**seen.devices, **_device_after(seen, step)})


def _device_after(seen: ObservedTunnel, step: TunnelStep) -> dict[str, ObservedDevice]:
    if isinstance(step, CreateDevice):
        assert step.device not in seen.devices
        return {step.device: ObservedDevice(mtu_bytes=1480)}
    if isinstance(step, AddVip | RemoveVip):
        name = DEVICES[step.vip.version]
        standing = seen.devices[name].addresses
        assert (step.vip in standing) == isinstance(step, RemoveVip)
        return {name: replace(seen.devices[name], addresses=standing ^ {step.vip})}
    assert isinstance(step, SetDeviceMtu | SetReversePath | SetDeviceUp | SetDeviceDown)
    device = seen.devices[step.device]
    if isinstance(step, SetDeviceMtu):
        device = replace(device, mtu_bytes=step.mtu_bytes)
    elif isinstance(step, SetReversePath):
        device = replace(device, rp_filter=step.value)
    else:
        device = replace(device, up=isinstance(step, SetDeviceUp))
    return {step.device: device}


class FakeNamespaces:
    """Namespaces by the pid of a process in them; ``refused`` are errors by pid, ``visits`` every visit."""

    def __init__(self, *pools: Network) -> None:
        self.seen: dict[int, ObservedTunnel] = {}
        self.refused: dict[int, KernelError] = {}
        self.visits: list[int] = []
        self.forgotten: list[str] = []
        self.takes_s = 0.0
        self._pools = pools

    def owned(self, address: Address) -> bool:
        """Whether it lies in a pool."""
        return any(address in pool for pool in self._pools)

    def make(self, pid: int) -> None:
        """A namespace as a pod begins with, and a process in it."""
        self.seen[pid] = ObservedTunnel({"tunl0": ObservedDevice(mtu_bytes=1480)})

    def vips(self, pid: int) -> set[str]:
        """What stands there."""
        return {str(each) for device in self.seen[pid].devices.values() for each in device.addresses}

    async def tend(self, pid: int, container: str, want: TunnelWant, opened: Collection[Listener]) -> Tended:
        """As in Places."""
        self.visits.append(pid)
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        if pid in self.refused:
            raise self.refused[pid]
        if pid not in self.seen:
            raise ContainerGone(f"there is no process {pid} any more")
        todo = steps(want, self.seen[pid], owned=self.owned, opened=opened)
        for step in todo:
            self.seen[pid] = applied(self.seen[pid], step)
        return Tended(container, todo)

    async def find(self, pid: int, container: str) -> frozenset[TunnelVip]:  # noqa: ARG002 - Places checks it
        """As in Places."""
        if pid in self.refused:
            raise self.refused[pid]
        if pid not in self.seen:
            raise ContainerGone(f"there is no process {pid} any more")
        return standing(self.seen[pid], self.owned)

    def forget(self, place: str) -> None:
        """As in Places."""
        self.forgotten.append(place)


class FakeContainers:
    """Pids by container id; ``silent`` is raised instead of any answer."""

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self.silent: ContainerError | None = None
        self.asked = 0

    async def pid(self, container: ContainerId) -> int:
        """As in Resolver."""
        self.asked += 1
        if self.silent is not None:
            raise self.silent
        if container.name not in self.pids:
            raise ContainerGone(f"the runtime knows no container {container.name[:12]}")
        return self.pids[container.name]


class FakeFeed(Generic[_T]):
    """A source that says what a test has it say."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[_T | SourceError] = asyncio.Queue()

    def say(self, item: _T | SourceError) -> None:
        """Its next word."""
        self._queue.put_nowait(item)

    async def snapshots(self) -> AsyncIterator[_T | SourceError]:
        """What it says."""
        while True:
            yield await self._queue.get()


@dataclass
class FakeConditions:
    """The conditions of pods, as an API server would have them; ``writes`` is how often one was set."""

    said: dict[PodKey, Condition] = field(default_factory=dict)
    writes: int = 0

    def set(self, key: PodKey, condition: Condition) -> None:
        """As in ConditionWriter."""
        self.said[key] = condition
        self.writes += 1

    def drop(self, key: PodKey) -> None:
        """As in ConditionWriter."""
        self.said.pop(key, None)

    async def outcomes(self) -> AsyncIterator[SourceError | None]:
        """Nothing ever goes wrong."""
        await asyncio.Event().wait()
        yield None
