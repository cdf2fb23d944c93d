"""The director's loop: the only place that sequences effects.

A pass reads the kernel, mends what differs, reads again, judges by what was read, tells BIRD, and takes apart what BIRD
was seen not to announce. Passes never overlap. What wakes a pass names services at most, never what happened to them.
"""

import asyncio
import time
from collections.abc import Callable

from appliance.director import herald, mend, sight
from appliance.director.context import Context
from appliance.director.drains import DrainFile
from appliance.director.keeper import Keeper
from appliance.director.memory import Memory
from appliance.director.ports import Ports, Publisher, Source
from appliance.director.record import Ending, Record
from appliance.director.settings import Settings
from appliance.director.snapshot_file import SnapshotFile
from appliance.director.teller import Teller
from appliance.director.wakes import Scope, Wakes
from appliance.errors import KernelError
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
    ) -> None:
        memory = Memory()
        self.context = Context(
            settings=settings,
            ports=ports,
            memory=memory,
            wakes=Wakes(clock),
            journal=journal,
            standing=Standing(journal),
            drains=DrainFile(settings.runtime_dir / "drains.json"),
            teller=Teller(memory, ports.publisher),
            record=Record(settings.node, meter or Meter(), clock),
            clock=clock,
            cpu_clock=cpu_clock,
        )
        directory = settings.state_dir
        file = None if directory is None else SnapshotFile(directory / "snapshot.json", settings.networks)
        self._keeper = Keeper(self.context, file, settings.scopes)
        self._stopping = False

    def stop(self) -> None:
        """Have ``run`` return after the pass at hand: nothing is left half done, no socket is closed under a thread."""
        self._stopping = True
        self.context.wakes.services(())

    async def run(self) -> None:
        """Run until told to stop; an exception that is not an expected fault ends it (I8)."""
        context = self.context
        context.memory.draining_s = context.drains.load()
        await self._keeper.load()
        try:
            async with asyncio.TaskGroup() as tasks:
                wakers = [
                    tasks.create_task(self._follow(name, source), name=f"source {name}")
                    for name, source in context.ports.sources.items()
                ]
                wakers.append(tasks.create_task(self._watch_link(), name="link monitor"))
                wakers.append(tasks.create_task(self._tick(), name="resync timer"))
                wakers.append(tasks.create_task(self._canary(), name="canary"))
                wakers.append(tasks.create_task(self._keeper.stand_in(), name="stand-ins"))
                wakers.append(tasks.create_task(self._keeper.keep(), name="snapshots"))
                if context.ports.publisher is not None:
                    wakers.append(tasks.create_task(self._publish(context.ports.publisher), name="events"))
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
            await herald.install(context)
        if context.memory.desired is None:
            return Ending.WAITING
        await herald.adopt(context)
        try:
            if scope.canary and not scope.everything and await sight.disturbed(context):
                scope = Scope(scope.keys, everything=True, link=True)
            elif scope == GLANCE and context.memory.quiet:
                context.memory.passes += 1
                return Ending.DONE
            context.memory.quiet = False
            keys = await sight.observe(context, scope)
            repaired = await mend.mend(context, keys)
        except KernelError as error:
            # What cannot be read proves nothing: hold, and try again with the next timer.
            context.standing.begin("kernel reading", str(error))
            return Ending.UNREADABLE
        context.standing.end("kernel reading")
        herald.judge(context, keys, repaired)
        await herald.publish(context, verify=scope.everything)
        context.record.converged(context.memory)
        context.teller.passed()
        await herald.take_apart(context)
        context.memory.quiet = herald.nothing_left(context)
        context.memory.passes += 1
        return Ending.DONE

    async def _passes(self) -> None:
        while True:
            scope = await self.context.wakes.take()
            if self._stopping:
                return
            started_s = self.context.clock()
            ending = await self.reconcile(scope)
            self.context.record.passed(scope.kind, ending, started_s)

    async def _follow(self, name: str, source: Source) -> None:
        async for item in source.snapshots():
            self.context.record.heard(name, item)
            self._keeper.hear(name, item)

    async def _publish(self, publisher: Publisher) -> None:
        async for error in publisher.outcomes():
            if error is None:
                self.context.standing.end("events")
            else:
                self.context.standing.begin("events", f"{error}; nothing but Events is concerned")

    async def _watch_link(self) -> None:
        async for _ in self.context.ports.monitor.changes():
            self.context.wakes.link()

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
