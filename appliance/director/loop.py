"""The director's loop: the only place that sequences effects.

A pass reads the kernel, mends what differs, reads again, judges by what was read, tells BIRD, and takes apart what BIRD
was seen not to announce. Passes never overlap. What wakes a pass names services at most, never what happened to them.
"""

import asyncio
import time
from collections.abc import Callable

from appliance.director import brakes, draining, guarding, herald, hosting, mend, neighbour, probing, retries, sight
from appliance.director.claim_file import ClaimFile
from appliance.director.context import Context
from appliance.director.drain_flag import DrainFlag
from appliance.director.drains import DrainFile
from appliance.director.keeper import Keeper
from appliance.director.memory import Memory
from appliance.director.operator import Operator
from appliance.director.ports import Ports, Publisher, Source
from appliance.director.record import Ending, Record
from appliance.director.settings import Settings
from appliance.director.snapshot_file import SnapshotFile
from appliance.director.teller import Teller
from appliance.director.wakes import Scope, Wakes
from appliance.errors import KernelError
from appliance.telemetry import messages
from appliance.telemetry.journal import Journal, Standing
from appliance.telemetry.meter import Meter

# Most of a processor's time that full readings may take, and how far they may move apart for that. What is urgent, a
# flushed table, is the canary's business.
RESYNC_SHARE = 0.0125
MAX_STRETCH = 6

GLANCE = Scope(canary=True)


class Director:
    """One director: what wakes it, and its passes."""

    def __init__(
        self,
        settings: Settings,
        ports: Ports,
        journal: Journal,
        clock: Callable[[], float],
        cpu_clock: Callable[[], float] = time.thread_time,
        *,
        meter: Meter | None = None,
        on_pass: Callable[[Context, Scope, Ending], None] | None = None,
    ) -> None:
        """Nothing is read or changed yet.

        Args:
            settings: what the loop needs to know of the configuration.
            ports: everything outside.
            journal: where transitions are written.
            clock: monotonic seconds since boot.
            cpu_clock: seconds of processor time of the thread that asks.
            meter: what was counted so far, None for nothing.
            on_pass: called after each pass with what it was about and how it ended.
        """
        memory = Memory()
        self.context = Context(
            settings=settings,
            ports=ports,
            memory=memory,
            wakes=Wakes(clock),
            journal=journal,
            standing=Standing(journal),
            drains=DrainFile(settings.runtime_dir / "drains.json"),
            claims=ClaimFile(settings.runtime_dir / "claims"),
            teller=Teller(memory, ports.publisher, settings.gate, clock),
            record=Record(settings.node, meter or Meter(), clock),
            clock=clock,
            cpu_clock=cpu_clock,
        )
        directory = settings.state_dir
        file = None if directory is None else SnapshotFile(directory / "snapshot.json", settings.networks)
        flag = None if directory is None else DrainFlag(directory / "drain.json")
        self.operator = Operator(self.context, flag, self.confirm)
        self._keeper = Keeper(self.context, file, settings.scopes)
        self._stopping = False
        self._on_pass = on_pass

    def stop(self) -> None:
        """Have ``run`` return after the pass at hand: nothing is left half done, no socket is closed under a thread."""
        self._stopping = True
        self.context.wakes.services(())

    def confirm(self) -> tuple[str, ...]:
        """An operator says that the losses which are withheld are meant; returns the VIPs that are let go."""
        vips = (*brakes.confirm(self.context), *probing.trust(self.context))
        self._keeper.keep_anew()
        return tuple(dict.fromkeys(vips))

    async def run(self) -> None:
        """Run until told to stop; an exception that is not an expected fault ends it (I8)."""
        context = self.context
        context.memory.draining_s = context.drains.load()
        context.memory.claimed = context.claims.load()
        await self.operator.load()
        await self._keeper.load()
        try:
            async with asyncio.TaskGroup() as tasks:
                wakers = [
                    tasks.create_task(self._follow(name, source), name=f"source {name}")
                    for name, source in context.ports.sources.items()
                ]
                wakers.append(tasks.create_task(self._watch_link(), name="link monitor"))
                wakers.append(tasks.create_task(self._watch_router(), name="BIRD"))
                wakers.append(tasks.create_task(self._tick(), name="resync timer"))
                wakers.append(tasks.create_task(self._canary(), name="canary"))
                wakers.append(tasks.create_task(self._keeper.stand_in(), name="stand-ins"))
                wakers.append(tasks.create_task(self._keeper.keep(), name="snapshots"))
                if context.ports.publisher is not None:
                    wakers.append(tasks.create_task(self._publish(context.ports.publisher), name="events"))
                if context.ports.prober is not None:
                    wakers.append(tasks.create_task(probing.probe(context, context.ports.prober), name="probes"))
                await asyncio.wait([tasks.create_task(self._passes(), name="passes")])
                for waker in wakers:
                    waker.cancel()
            await self._keeper.flush()
        finally:
            context.wakes.cancel()

    async def reconcile(self, scope: Scope) -> Ending:
        """One pass over ``scope``. Until the desired state is known it does no more than to configure BIRD."""
        context = self.context
        if scope.everything:
            await hosting.keep(context)
            await herald.install(context)
        if context.memory.desired is None:
            return Ending.WAITING
        await herald.adopt(context)
        if brakes.watch(context):
            self._keeper.keep_anew()
        try:
            await self._pass(scope)
        except KernelError as error:
            # What cannot be read proves nothing: hold, and try again with the next timer.
            context.wakes.again(scope)
            herald.tell(context)
            context.standing.begin(messages.KERNEL_READING, str(error))
            return Ending.UNREADABLE
        return Ending.DONE

    async def _pass(self, scope: Scope) -> None:
        context = self.context
        if scope.canary and not scope.everything and await sight.disturbed(context):
            scope = Scope(scope.keys, everything=True, link=True)
        elif scope == GLANCE and context.memory.quiet and not await guarding.disturbed(context):
            context.memory.passes += 1
            return
        context.memory.quiet = False
        await herald.obey(context)
        keys = await sight.observe(context, scope)
        keys |= await guarding.keep(context, whole=scope.everything)
        if not context.memory.passes:
            probing.adopt(context)
        work = mend.plan(context, keys)
        late = mend.too_late(context, work)
        if late:
            # Routers need not wait for a repair that this pass has no time for.
            herald.judge(context, late)
            await herald.publish(context, verify=False)
        repaired = await mend.mend(context, keys, work)
        herald.judge(context, keys, repaired)
        await herald.publish(context, verify=scope.everything)
        herald.tell(context)
        await draining.advance(context)
        if scope.everything:
            await neighbour.watch(context)
        context.record.converged(context.memory)
        context.teller.passed()
        await herald.take_apart(context)
        await guarding.trim(context)
        context.standing.end(messages.KERNEL_READING)
        context.memory.quiet = herald.nothing_left(context)
        context.memory.passes += 1

    async def _passes(self) -> None:
        while True:
            scope = await self.context.wakes.take()
            if self._stopping:
                return
            started_s = self.context.clock()
            ending = await self.reconcile(scope)
            self.context.record.passed(scope.kind, ending, started_s)
            if self._on_pass is not None:
                self._on_pass(self.context, scope, ending)

    async def _follow(self, name: str, source: Source) -> None:
        async for item in source.snapshots():
            self.context.record.heard(name, item)
            self._keeper.hear(name, item)

    async def _publish(self, publisher: Publisher) -> None:
        async for error in publisher.outcomes():
            if error is None:
                self.context.standing.end(messages.EVENTS)
            else:
                self.context.standing.begin(messages.EVENTS, f"{error}; nothing but Events is concerned")

    async def _watch_link(self) -> None:
        async for _ in self.context.ports.monitor.changes():
            retries.at_once(self.context)
            self.context.wakes.link()

    async def _watch_router(self) -> None:
        """BIRD went, came, or was started anew: all that it holds is to be read."""
        async for _ in self.context.ports.router.changes():
            self.context.wakes.everything()

    async def _tick(self) -> None:
        while True:
            self.context.wakes.everything()
            await asyncio.sleep(self._resync_in_s())

    def _resync_in_s(self) -> float:
        """Seconds until the next full pass: resync_s, or longer where reading the whole table is slow."""
        resync_s, reading_s = self.context.settings.resync_s, self.context.memory.reading_s
        return max(resync_s, min(reading_s / RESYNC_SHARE, resync_s * MAX_STRETCH))

    async def _canary(self) -> None:
        while True:
            await asyncio.sleep(self.context.settings.canary_s)
            self.context.wakes.canary()
