"""The director's loop: the only place that sequences effects.

A pass reads the kernel, mends what differs, reads again, judges by what was read, tells BIRD, and takes apart what BIRD
was seen not to announce. Passes never overlap. What wakes a pass names services at most, never what happened to them.
"""

import asyncio
from collections.abc import Callable

from appliance.director import herald, intent, mend, sight
from appliance.director.context import Context
from appliance.director.drains import DrainFile
from appliance.director.memory import Memory
from appliance.director.ports import Ports, Source
from appliance.director.settings import Settings
from appliance.director.wakes import Scope, Wakes
from appliance.errors import KernelError, SourceError
from appliance.telemetry.journal import Journal, Standing


class Director:
    """One director: what wakes it, and its passes."""

    def __init__(self, settings: Settings, ports: Ports, journal: Journal, clock: Callable[[], float]) -> None:
        self.context = Context(
            settings=settings,
            ports=ports,
            memory=Memory(),
            wakes=Wakes(clock),
            journal=journal,
            standing=Standing(journal),
            drains=DrainFile(settings.runtime_dir / "drains.json"),
            clock=clock,
        )

    async def run(self) -> None:
        """Run until cancelled; an exception that is not an expected fault ends it (I8)."""
        context = self.context
        context.memory.draining_s = context.drains.load()
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, source in context.ports.sources.items():
                    tasks.create_task(self._follow(name, source), name=f"source {name}")
                tasks.create_task(self._watch_link(), name="link monitor")
                tasks.create_task(self._tick(), name="resync timer")
                tasks.create_task(self._canary(), name="canary")
                tasks.create_task(self._passes(), name="passes")
        finally:
            context.wakes.cancel()

    async def reconcile(self, scope: Scope) -> None:
        """One pass over ``scope``. Does nothing until the desired state is known."""
        context = self.context
        if context.memory.desired is None:
            return
        await herald.adopt(context)
        try:
            keys = await sight.observe(context, scope)
            repaired = await mend.mend(context, keys)
        except KernelError as error:
            # What cannot be read proves nothing: hold, and try again with the next timer.
            context.standing.begin("kernel reading", str(error))
            return
        context.standing.end("kernel reading")
        herald.judge(context, keys, repaired)
        await herald.publish(context, verify=scope.everything)
        await herald.take_apart(context)
        context.memory.passes += 1

    async def _passes(self) -> None:
        while True:
            await self.reconcile(await self.context.wakes.take())

    async def _follow(self, name: str, source: Source) -> None:
        standing = self.context.standing
        async for item in source.snapshots():
            if isinstance(item, SourceError):
                standing.begin(f"source {name}", f"{item}; the last good state stays in force", SOURCE=name)
            else:
                standing.end(f"source {name}")
                intent.accept(self.context, name, item)

    async def _watch_link(self) -> None:
        async for _ in self.context.ports.monitor.changes():
            self.context.wakes.link()

    async def _tick(self) -> None:
        while True:
            self.context.wakes.everything()
            await asyncio.sleep(self.context.settings.resync_s)

    async def _canary(self) -> None:
        while True:
            await asyncio.sleep(self.context.settings.canary_s)
            self.context.wakes.canary()
