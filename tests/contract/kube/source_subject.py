"""A source on a server over real sockets, and what a test does to both."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from appliance.errors import SourceError
from appliance.model.desired import ServiceDefaults, Snapshot
from appliance.sources.kubernetes.source import KubernetesSource, Scope
from appliance.sources.kubernetes.transport import KubernetesCluster
from appliance.sources.kubernetes.watch import Timing
from tests.kube.api import Api
from tests.kube.objects import endpoint_slice, endpoints

T = TypeVar("T")

WITHIN_S = 30.0
# A test waits for retries and half-open watches, so they come soon.
SOON = Timing(watch_s=60.0, margin_s=1.0, first_retry_s=0.1, max_retry_s=0.5)


def set_backends(api: Api, *addresses: str, name: str = "web") -> None:
    """Create the backends of a Service or replace them, in the form that the source takes from this server."""
    wanted = endpoint_slice(name, addresses) if "v1" in api.slice_versions else endpoints(name, addresses)
    if api.try_replace(wanted).status == HTTPStatus.NOT_FOUND:
        api.create(wanted)


class Heard:
    """All that a source said; ``told`` are its lines for the log."""

    def __init__(self, source: KubernetesSource, told: list[str]) -> None:
        self.said: list[Snapshot | SourceError] = []
        self.told = told
        self.source = source

    async def listen(self) -> None:
        async for item in self.source.snapshots():
            self.said.append(item)

    @property
    def snapshot(self) -> Snapshot | None:
        """The latest snapshot."""
        return next((item for item in reversed(self.said) if isinstance(item, Snapshot)), None)

    @property
    def backends(self) -> dict[str, list[str]] | None:
        """For each Service of the latest snapshot, by name alone, the addresses of its backends."""
        if self.snapshot is None:
            return None
        return {
            each.owner.partition("/")[2]: [str(one.address) for one in each.backends] for each in self.snapshot.services
        }

    @property
    def errors(self) -> list[str]:
        """The errors that it said."""
        return [str(item) for item in self.said if isinstance(item, SourceError)]

    async def until(self, condition: Callable[[], object], within_s: float = WITHIN_S) -> None:
        """Wait until the condition holds.

        Raises:
            AssertionError: it does not within the time; the text holds what was heard.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + within_s
        while not condition():
            assert loop.time() < deadline_s, f"not within {within_s} s: {self.errors} {self.backends}"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(kubeconfig: Path | None, scope: Scope, timing: Timing = SOON) -> AsyncIterator[Heard]:
    """A source that listens while the block runs."""
    told: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        cluster = KubernetesCluster(kubeconfig, None, Path(scratch))
        heard = Heard(KubernetesSource(cluster, scope, ServiceDefaults(), told.append, timing=timing), told)
        task = asyncio.create_task(heard.listen())
        try:
            yield heard
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run a story to its end, and until the connections that it leaves behind are closed.

    One that is given up before its answer has begun ends its TLS politely, which a loop that is closed cuts short.
    """

    async def to_the_end() -> T:
        result = await story
        loop: Any = asyncio.get_running_loop()
        async with asyncio.timeout(WITHIN_S):
            # Its own waker stays.
            while len(loop._selector.get_map()) > 1:  # noqa: ASYNC110 - the loop tells nobody
                await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        return result

    return asyncio.run(to_the_end())
