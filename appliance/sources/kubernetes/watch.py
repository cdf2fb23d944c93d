r"""One resource, followed for ever: list it whole, then watch it from there.

::

    list all pages --> watch from the list's resourceVersion --> ended, broken off, silent: watch again from the latest
         ^                        |                                                          |
         +------ 410 Gone --------+----------------------------------------------------------+

What was listed before stays until the new list is whole. Each attempt uses a new connection, and with it the
credentials of the moment.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Generic, Protocol, TypeVar

import msgspec

from appliance.errors import SourceError
from appliance.sources.kubernetes.api import Cluster, Connection, Dropped, Expired, Refused, Resource
from appliance.sources.kubernetes.wire import Event, event, page

_Item = TypeVar("_Item")

PAGE_OBJECTS = 500
STEADY_S = 5.0
"""A watch that has lasted this long is taken for one that works, even if nothing happened."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. The server ends each watch after about ``watch_s``; one that lasts ``margin_s`` longer is half-open.

    The answer to a watch has to begin within ``margin_s`` too.

    After a failure ``first_retry_s``, then twice that each time up to ``max_retry_s``, each by chance shortened by up
    to half, so that many directors do not come all at once. What the server asks for (Retry-After) is waited for, up
    to ``max_patience_s``.
    """

    watch_s: float = 120.0
    margin_s: float = 15.0
    first_retry_s: float = 1.0
    max_retry_s: float = 30.0
    max_patience_s: float = 300.0


class Listener(Protocol[_Item]):
    """Who is told what a follower hears; it makes of each object what it likes."""

    def read(self, resource: Resource, text: msgspec.Raw) -> _Item | None:
        """The object of a list, or None if it does not concern us."""
        ...

    def listed(self, items: Iterable[_Item]) -> None:
        """A complete list: there is nothing else."""
        ...

    def happened(self, resource: Resource, event: Event) -> None:
        """One object was added, modified or deleted."""
        ...

    def well(self) -> None:
        """The server answers; what was listed is complete."""
        ...

    def failed(self, error: SourceError) -> None:
        """An attempt has failed; there will be others."""
        ...


class Follower(Generic[_Item]):
    """Follows the resource that ``choose`` names, in one namespace or (empty) in all.

    ``selector`` is one of labels, ``fields`` one of fields, empty for none.
    """

    def __init__(
        self,
        cluster: Cluster,
        choose: Callable[[Connection], Awaitable[Resource]],
        listener: Listener[_Item],
        *,
        namespace: str = "",
        selector: str = "",
        fields: str = "",
        timing: Timing,
        chance: Random,
    ) -> None:
        self._cluster = cluster
        self._choose = choose
        self._listener = listener
        self._namespace = namespace
        given = {"labelSelector": selector, "fieldSelector": fields}
        self._selection = {name: value for name, value in given.items() if value}
        self._timing = timing
        self._chance = chance
        self._resource: Resource | None = None
        self._listed: Resource | None = None
        self._version = ""
        self._paged = True
        self._proven = False

    async def run(self) -> None:
        """Follow until cancelled. Only a bug ends it otherwise."""
        failures = 0
        while True:
            error = await self._attempt()
            failures = 0 if self._proven and not isinstance(error, Expired) else failures + 1
            # A stream that breaks off, or a version that is no longer kept, is daily business; twice in a row is not.
            excused = error is None or isinstance(error, Dropped | Expired)
            if error is not None and (not excused or failures > 1):
                self._listener.failed(error)
            await asyncio.sleep(self._pause_s(failures - 1 if excused else failures, error))

    async def _attempt(self) -> SourceError | None:
        """One connection: list if need be, then watch until that ends."""
        self._proven = False
        try:
            async with self._cluster.connect() as connection:
                resource = await self._chosen(connection)
                if not self._version or resource != self._listed:
                    self._version = await self._list(connection, resource)
                    self._listed = resource
                    self._proven = True
                await self._watch(connection, resource)
        except Expired as error:
            self._version = ""
            return error
        except Dropped as error:
            return error
        except SourceError as error:
            # Whatever comes back may be another version of the server.
            self._resource = None
            return error
        return None

    async def _chosen(self, connection: Connection) -> Resource:
        if self._resource is None:
            self._resource = await self._choose(connection)
        return self._resource

    async def _list(self, connection: Connection, resource: Resource) -> str:
        """The resourceVersion of the list; it is handed on only when all of its pages are there."""
        path = resource.path(self._namespace)
        query = self._selection | ({"limit": str(PAGE_OBJECTS)} if self._paged else {})
        # If the pages expire before the last one, the next list comes in one piece, as client-go's pager does it.
        self._paged = False
        items: list[_Item] = []
        part = page(await connection.get(path, query))
        while True:
            items.extend(filter(None, (self._listener.read(resource, text) for text in part.objects)))
            if not part.following:
                break
            part = page(await connection.get(path, query | {"continue": part.following}))
        self._paged = True
        self._listener.listed(items)
        self._listener.well()
        return part.version

    async def _watch(self, connection: Connection, resource: Resource) -> None:
        loop = asyncio.get_running_loop()
        watch_s = max(1, round(self._timing.watch_s * self._chance.uniform(0.75, 1.0)))
        path = resource.path(self._namespace)
        query = self._selection | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(watch_s),
        }
        async with AsyncExitStack() as stack:
            lines = await self._begin(stack.enter_async_context(connection.watch(path, query)), resource)
            self._listener.well()
            started_s = loop.time()
            try:
                async with asyncio.timeout(watch_s + self._timing.margin_s):
                    async for line in lines:
                        self._take(resource, event(line, f"watch {resource}"))
            except TimeoutError:
                text = f"the watch of {resource} outlasted its time-out of {watch_s} s: the connection is half-open"
                raise Dropped(text) from None
            finally:
                self._proven = self._proven or loop.time() - started_s >= STEADY_S

    async def _begin(self, begun: Awaitable[AsyncIterator[bytes]], resource: Resource) -> AsyncIterator[bytes]:
        """Wait for the answer to begin, which a server that is well does at once, also where nothing happens."""
        try:
            async with asyncio.timeout(self._timing.margin_s):
                return await begun
        except TimeoutError:
            text = f"the API server gives no answer to watch {resource} within {self._timing.margin_s:g} s"
            raise SourceError(text) from None

    def _take(self, resource: Resource, what: Event) -> None:
        self._proven = True
        if what.type != "BOOKMARK":
            self._listener.happened(resource, what)
        self._version = what.version or self._version

    def _pause_s(self, failures: int, error: SourceError | None) -> float:
        pause_s = 0.0
        if failures > 0:
            # Beyond 2**31 the doubling is far past any sensible maximum, and a float overflow is not.
            longest_s = min(self._timing.first_retry_s * 2 ** min(failures - 1, 31), self._timing.max_retry_s)
            pause_s = longest_s * self._chance.uniform(0.5, 1.0)
        if isinstance(error, Refused):
            pause_s = max(pause_s, min(error.retry_after_s, self._timing.max_patience_s))
        return pause_s
