"""The source on an API server in memory and virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any

from appliance.errors import SourceError
from appliance.model.desired import ServiceDefaults, Snapshot
from appliance.sources.kubernetes.source import KubernetesSource, Scope
from tests.fakes.outside import VirtualTimeLoop
from tests.unit.sources.kubernetes.fake_api import FakeApi

WITHIN_S = 600.0


class Watched:
    """A source and all that it said. ``told`` are its lines for the log."""

    def __init__(self, api: FakeApi, scope: Scope) -> None:
        self.api = api
        self.said: list[Snapshot | SourceError] = []
        self.told: list[str] = []
        self.source = KubernetesSource(
            api,
            scope,
            ServiceDefaults(),
            self.told.append,
            chance=Random(1),  # noqa: S311 - the same jitter each time
            now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        )

    async def listen(self) -> None:
        async for item in self.source.snapshots():
            self.said.append(item)

    @property
    def snapshot(self) -> Snapshot:
        """The latest snapshot."""
        return next(item for item in reversed(self.said) if isinstance(item, Snapshot))

    @property
    def backends(self) -> dict[str, list[str]]:
        """For each Service the addresses of its backends, from the latest snapshot; empty before the first."""
        if not any(isinstance(item, Snapshot) for item in self.said):
            return {}
        return {each.owner: [str(one.address) for one in each.backends] for each in self.snapshot.services}

    async def until(self, condition: Callable[[], object], within_s: float = WITHIN_S) -> float:
        """Wait on virtual time until ``condition`` holds; returns how long that took."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        while not condition():
            if loop.time() - started_s > within_s:
                raise AssertionError(f"not within {within_s} s")
            await asyncio.sleep(0.01)
        return loop.time() - started_s


@asynccontextmanager
async def watching(api: FakeApi, scope: Scope | None = None) -> AsyncIterator[Watched]:
    """A source that listens while the block runs."""
    watched = Watched(api, scope or Scope())
    task = asyncio.create_task(watched.listen())
    try:
        yield watched
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def play(story: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on a loop whose time jumps."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story)
