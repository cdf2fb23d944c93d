"""Services of a cluster as claims, followed for ever, and their statuses written."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

import msgspec

from appliance.errors import SourceError
from appliance.model.address import Address
from appliance.model.claim import Claim
from appliance.sources.kubernetes.api import SERVICES, Connection, Exchange, ExchangeCluster, Refused, Resource
from appliance.sources.kubernetes.claims import ClaimedService, read_service, status_patch
from appliance.sources.kubernetes.decoding import Malformed
from appliance.sources.kubernetes.objects import Metadata
from appliance.sources.kubernetes.watch import Follower, Timing
from appliance.sources.kubernetes.wire import Event, Item, Key, key_of

WRITE_S = 10.0
"""A write that takes longer counts as failed."""

WRITES_AT_ONCE = 8
_NOT_FOUND, _CONFLICT = 404, 409


@dataclass(frozen=True, slots=True)
class _Read(Item):
    """An object of a list, and what was made of it."""

    service: tuple[str, str]
    claimed: ClaimedService | None = None


class ClaimSource:
    """The Services of all namespaces, as claims of those that concern the allocator.

    ``services`` are there by owner as they were last heard of, all of them from the moment ``is_complete`` is true.
    ``error`` says why nothing is heard now. ``news`` is set with each change of any of these.
    """

    def __init__(
        self,
        cluster: ExchangeCluster,
        classes: Collection[str],
        *,
        timing: Timing | None = None,
        chance: Random | None = None,
    ) -> None:
        self.services: dict[str, ClaimedService] = {}
        self.is_complete = False
        self.error: SourceError | None = None
        self.news = asyncio.Event()
        self._cluster = cluster
        self._classes = classes
        self._timing = timing or Timing()
        self._chance = chance or Random()  # noqa: S311 - spreads load, keeps no secret
        self._changed: dict[str, None] = {}

    async def follow(self) -> None:
        """Follow until cancelled. Only a bug ends it otherwise."""
        await Follower(self._cluster, _services, self, timing=self._timing, chance=self._chance).run()

    @property
    def claims(self) -> Mapping[str, Claim]:
        """The claims of all these Services, by owner."""
        return _Claims(self.services)

    def take(self) -> list[str]:
        """The owners whose Services changed, came or went since this was called last."""
        changed, self._changed = self._changed, {}
        self.news.clear()
        return list(changed)

    def metadata(self, owner: str) -> Metadata | None:
        """Metadata of the Service ``namespace/name``; None if it is not there or does not concern the allocator."""
        found = self.services.get(owner)
        return found.metadata if found else None

    async def refresh(self, connection: Exchange, owner: str) -> None:
        """Read one Service anew, for a write that was overtaken.

        Raises:
            Unreachable, Refused, Expired: it cannot be read.
        """
        try:
            self.put(owner, await connection.get(_path(owner), {}))
        except Refused as error:
            if error.status != _NOT_FOUND:
                raise
            self._forget(owner)

    def read(self, resource: Resource, text: msgspec.Raw) -> Item | None:
        """As in Listener."""
        try:
            key, claimed = key_of(resource, text), read_service(text, self._classes)
        except (Malformed, ValueError):
            # No API server holds a Service that is none.
            return None
        return _Read(key, (key.namespace, key.name), "", claimed=claimed) if claimed else None

    def listed(self, items: Iterable[Item]) -> None:
        """As in Listener."""
        fresh = {each.claimed.claim.owner: each.claimed for each in items if isinstance(each, _Read) and each.claimed}
        for owner in self.services.keys() | fresh.keys():
            if self.services.get(owner) != fresh.get(owner):
                self._changed[owner] = None
        self.services = fresh
        self.is_complete = True
        self.news.set()

    def happened(self, resource: Resource, event: Event) -> None:
        """As in Listener."""
        try:
            key = key_of(resource, event.object)
        except Malformed:
            return
        owner = _owner(key)
        if event.type == "DELETED":
            self._forget(owner)
        else:
            self.put(owner, event.object)

    def well(self) -> None:
        """As in Listener."""
        self.error = None
        self.news.set()

    def failed(self, error: SourceError) -> None:
        """As in Listener."""
        self.error = error
        self.news.set()

    def put(self, owner: str, text: bytes | msgspec.Raw) -> None:
        """The Service is there, in this form."""
        try:
            claimed = read_service(text, self._classes)
        except ValueError:
            return
        if claimed is None:
            self._forget(owner)
        elif self.services.get(owner) != claimed:
            self.services[owner] = claimed
            self._changed[owner] = None
            self.news.set()

    def _forget(self, owner: str) -> None:
        if self.services.pop(owner, None) is not None:
            self._changed[owner] = None
            self.news.set()


class _Claims(Mapping[str, Claim]):
    """A view of Services as their claims."""

    def __init__(self, services: Mapping[str, ClaimedService]) -> None:
        self._services = services

    def __getitem__(self, owner: str) -> Claim:
        return self._services[owner].claim

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)


class StatusWriter:
    """Writes the addresses of Services, while ``left_s`` says that this process may: asked right before each write.

    A write that is under way when the time is over is given up, so that it is never sent later.
    """

    def __init__(self, cluster: ExchangeCluster, source: ClaimSource, left_s: Callable[[], float]) -> None:
        self._cluster = cluster
        self._source = source
        self._left_s = left_s

    async def write(self, wanted: Mapping[str, tuple[Address, ...]]) -> Mapping[str, SourceError | None]:
        """Write these statuses, by owner; returns the error of each that was tried, None for none.

        A Service that was changed or is gone meanwhile is read anew, which the source tells as a change, and is not
        among the results.
        """
        outcome: dict[str, SourceError | None] = {}
        todo = deque(wanted.items())
        try:
            async with self._cluster.connect() as connection, asyncio.TaskGroup() as tasks:
                for _ in range(min(WRITES_AT_ONCE, len(todo))):
                    tasks.create_task(self._work(connection, todo, outcome))
        except SourceError as error:
            # The credentials cannot be read: nothing was tried.
            return dict.fromkeys(wanted, error)
        return outcome

    async def _work(
        self,
        connection: Exchange,
        todo: deque[tuple[str, tuple[Address, ...]]],
        outcome: dict[str, SourceError | None],
    ) -> None:
        while todo:
            owner, addresses = todo.popleft()
            try:
                if await self._write(connection, owner, addresses):
                    outcome[owner] = None
            except SourceError as error:
                outcome[owner] = error

    async def _write(self, connection: Exchange, owner: str, addresses: tuple[Address, ...]) -> bool:
        """Whether the status was written; if not it was overtaken."""
        service = self._source.services.get(owner)
        if service is None:
            return False
        try:
            async with asyncio.timeout(min(WRITE_S, max(0.0, self._left_s()))):
                if self._left_s() <= 0:
                    raise SourceError("this allocator does not lead any more")
                path = f"{_path(owner)}/status"
                self._source.put(owner, await connection.send("PATCH", path, status_patch(service, addresses)))
        except Refused as error:
            if error.status not in {_NOT_FOUND, _CONFLICT}:
                raise
            await self._source.refresh(connection, owner)
            return False
        except TimeoutError:
            raise SourceError(f"no answer to the status of {owner} within {WRITE_S:g} s") from None
        return True


async def _services(_: Connection) -> Resource:
    return SERVICES


def _owner(key: Key) -> str:
    return f"{key.namespace or 'default'}/{key.name}"


def _path(owner: str) -> str:
    namespace, _, name = owner.partition("/")
    return f"{SERVICES.path(quote(namespace, safe=''))}/{quote(name, safe='')}"


async def list_services(cluster: ExchangeCluster, classes: Collection[str]) -> Mapping[str, ClaimedService]:
    """The Services of all namespaces, listed once, by owner.

    Raises:
        SourceError: they cannot be listed.
    """
    source = ClaimSource(cluster, classes)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(source.follow())
        while not source.is_complete and source.error is None:
            await source.news.wait()
            source.take()
        following.cancel()
    if source.error is not None:
        raise source.error
    return source.services
