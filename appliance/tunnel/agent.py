"""The agent: hears of services and pods, and has each pod's end of the tunnel be as the services want it.

It compares levels, never changes: whatever wakes it names at most the pods that may differ, and each of them is read
and put in order on its own, in any order, so that one that hangs or fails holds up nobody.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeVar

from appliance.decide.tunnel import Decision, decide
from appliance.errors import ContainerError, ContainerGone, KernelError, SourceError
from appliance.model.desired import Snapshot
from appliance.model.pod import Pod, PodKey
from appliance.model.tunnel import Tended
from appliance.runtimes.resolver import parse_container
from appliance.telemetry import messages, tunnel_metrics
from appliance.telemetry.journal import Journal
from appliance.telemetry.meter import Meter
from appliance.tunnel.belief import Belief
from appliance.tunnel.charge import Charge
from appliance.tunnel.ports import Ports, Settings
from appliance.tunnel.teller import Teller

AT_ONCE = 8
"""Pods that are worked on at a time: what waits is a runtime's answer, or one of the threads that visit namespaces."""

WITHIN_S = 60.0
"""An attempt that takes longer counts as failed; the thread that hangs in it stays lost. iptables may wait long."""

ROUND_S = 5.0
"""The loop comes round at least that often, so that whoever watches over it sees that it lives."""

_NOTHING = Decision()
_T = TypeVar("_T")


class Agent:
    """Looks after the pods of one node. ``on_pass`` is called after each round of the loop."""

    def __init__(
        self,
        ports: Ports,
        settings: Settings,
        journal: Journal,
        clock: Callable[[], float],
        *,
        meter: Meter | None = None,
        on_pass: Callable[["Agent"], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.meter = meter or Meter()
        self.charges: dict[PodKey, Charge] = {}
        self.passed_s = clock()
        self.is_ready = False
        self.busy_s: dict[PodKey, float] = {}
        self._ports = ports
        self._on_pass = on_pass
        self._teller = Teller(journal, self.meter, ports.conditions, ports.publisher)
        self._belief = Belief(settings.owned, settings.confirm_after_s)
        self._pods: Mapping[PodKey, Pod] | None = None
        self._woken = asyncio.Event()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._is_stale = True

    @property
    def conditions(self) -> Mapping[str, str]:
        """What is wrong now: name -> description."""
        return self._teller.standing.all

    async def run(self) -> None:
        """Work until cancelled; a bug ends it (I8)."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear("services", self._ports.services.snapshots(), self._take_services))
            tasks.create_task(self._hear("pods", self._ports.pods.snapshots(), self._take_pods))
            tasks.create_task(self._watch_writer("conditions", self._ports.conditions.outcomes()))
            if self._ports.publisher is not None:
                tasks.create_task(self._watch_writer("events", self._ports.publisher.outcomes()))
            while True:
                self.round(tasks)
                await self._sleep()

    def round(self, tasks: asyncio.TaskGroup) -> None:
        """Decide anew where something was heard, and begin to work on every pod whose time has come."""
        now_s = self.clock()
        self._woken.clear()
        self._doubt(now_s)
        if self._belief.in_force is not None and self._pods is not None:
            if self._is_stale:
                self._decide(self._belief.in_force, self._pods, now_s)
            for charge in self.charges.values():
                if charge.due_s() <= now_s and not charge.is_busy:
                    charge.is_busy = True
                    tasks.create_task(self._look_after(charge), name=f"pod {charge.pod.key}")
            self.is_ready = self.is_ready or not any(each.is_busy for each in self.charges.values())
        self.passed_s = now_s
        self._on_pass(self)

    def _doubt(self, now_s: float) -> None:
        self._is_stale |= self._belief.believe(now_s)
        if self._belief.doubt:
            self._teller.standing.begin(messages.TUNNEL_BRAKE, self._belief.doubt)
        else:
            self._teller.standing.end(messages.TUNNEL_BRAKE)

    def _decide(self, services: Snapshot, pods: Mapping[PodKey, Pod], now_s: float) -> None:
        self._is_stale = False
        for key in [key for key in self.charges if key not in pods]:
            self._forget(self.charges.pop(key))
        owned, directors = self.settings.owned, self.settings.directors
        decisions = decide(services.services, pods, owned=owned, directors=directors)
        for key, pod in pods.items():
            charge = self.charges.get(key)
            if charge is None:
                charge = self.charges[key] = Charge(
                    pod, said=pod.condition, said_reason=pod.condition_reason, is_inherited=bool(pod.container)
                )
            if charge.place is not None and pod.container != charge.pod.container:
                self._ports.namespaces.forget(charge.place)
            charge.see(pod)
            charge.decide(decisions.get(key, _NOTHING), now_s=now_s, linger_s=self.settings.linger_s)
            self._teller.refused(charge)
            self._teller.readiness(charge)

    async def _look_after(self, charge: Charge) -> None:
        try:
            async with self._turns:
                await self._try(charge)
        finally:
            charge.is_busy = False
            self._woken.set()

    async def _try(self, charge: Charge) -> None:
        pod, began_s = charge.pod, self.clock()
        # Kept VIPs whose time is over go now.
        charge.decide(charge.decision, now_s=began_s, linger_s=self.settings.linger_s)
        self.busy_s[pod.key] = began_s
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._reach(charge)
                want, is_repair = charge.holding.want, charge.stood == charge.holding.want
                tended = await self._tend(charge)
            self._teller.done(charge, tended.done, is_repair=is_repair)
            _see_settled(tended)
        except TimeoutError:
            error = KernelError("reach", "the pod's namespace", 0, hint=f"nothing within {WITHIN_S:g} s")
            self._fail(charge, pod, error)
        except (ContainerError, KernelError) as error:
            self._fail(charge, pod, error)
        else:
            self.meter.observe(tunnel_metrics.TUNNEL_SECONDS, self.clock() - began_s)
            if charge.pod.container == pod.container:
                charge.stands(want, next_s=self.clock() + self.settings.resync_s)
            self._teller.well(pod.key)
        finally:
            del self.busy_s[pod.key]
        if pod.key in self.charges:
            self._teller.readiness(charge)

    async def _reach(self, charge: Charge) -> None:
        """Find a process in the pod's namespace, and at first what an agent before this one left there."""
        container = parse_container(charge.pod.container)
        if charge.pid is None:
            charge.pid = await self._ports.containers.pid(container)
        if charge.is_inherited:
            found = await self._ports.namespaces.find(charge.pid, container.name)
            if charge.is_inherited:
                until_s = self.clock() + max(self.settings.linger_s, self.settings.confirm_after_s)
                charge.inherit(found, self.settings.directors, until_s=until_s)

    async def _tend(self, charge: Charge) -> Tended:
        container = parse_container(charge.pod.container)
        want, opened = charge.holding.want, charge.opened
        # Also where it fails: what it opened before that is ours.
        charge.opened = opened | want.listeners
        if charge.pid is None:
            charge.pid = await self._ports.containers.pid(container)
        tended = await self._ports.namespaces.tend(charge.pid, container.name, want, opened)
        charge.place = tended.place
        return tended

    def _fail(self, charge: Charge, pod: Pod, error: ContainerError | KernelError) -> None:
        if pod.key not in self.charges or charge.pod.container != pod.container:
            # It went while it was worked on, which is nobody's fault.
            return
        known = charge.pid is not None
        charge.failed(error, self.settings.backoff, now_s=self.clock())
        if known and isinstance(error, ContainerGone) and charge.backoff is not None and charge.backoff.failures == 1:
            # The process that was known is gone; who is there now has not been asked yet.
            charge.next_s = -math.inf
        self._teller.failing(charge, error)

    def _forget(self, charge: Charge) -> None:
        self._teller.gone(charge)
        if charge.place is not None:
            self._ports.namespaces.forget(charge.place)

    def _take_services(self, said: Snapshot | SourceError) -> None:
        if isinstance(said, SourceError):
            self._belief.silent()
        else:
            self._belief.hear(said, self.clock())

    def _take_pods(self, said: Mapping[PodKey, Pod] | SourceError) -> None:
        if not isinstance(said, SourceError):
            self._pods = said

    async def _hear(
        self, what: str, source: AsyncIterator[_T | SourceError], take: Callable[[_T | SourceError], None]
    ) -> None:
        """Take what the source says; while it is silent the last word stands (I3)."""
        async for said in source:
            take(said)
            if isinstance(said, SourceError):
                self._teller.standing.begin(messages.TUNNEL_SOURCE, str(said), what)
                continue
            self._teller.standing.end(messages.TUNNEL_SOURCE, what)
            self._is_stale = True
            self._woken.set()

    async def _watch_writer(self, what: str, outcomes: AsyncIterator[SourceError | None]) -> None:
        async for error in outcomes:
            if error is None:
                self._teller.standing.end(messages.TUNNEL_WRITER, what)
            else:
                self._teller.standing.begin(messages.TUNNEL_WRITER, str(error), what)

    async def _sleep(self) -> None:
        """Until something is heard, an attempt has ended, or a pod's time comes."""
        waiting = (each.due_s() for each in self.charges.values() if not each.is_busy)
        due_s = min(waiting, default=math.inf) - self.clock()
        try:
            async with asyncio.timeout(min(max(due_s, 0.0), ROUND_S)):
                await self._woken.wait()
        except TimeoutError:
            pass


def _see_settled(tended: Tended) -> None:
    if not tended.is_settled:
        raise KernelError("keep", "what was set", 0, hint="something else in the pod changes it back")
