"""Services of a cluster as claims, followed for ever, and their statuses written."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from urllib.parse import quote

import msgspec

from appliance.errors import SourceError
from appliance.model.address import Address
from appliance.model.claim import Claim
from appliance.sources.kubernetes import namespaces
from appliance.sources.kubernetes.api import SERVICES, Connection, Exchange, ExchangeCluster, Refused, Resource
from appliance.sources.kubernetes.claims import DEFAULT_IP_MODE, ClaimedService, ClaimView, read_service, status_patch
from appliance.sources.kubernetes.decoding import Malformed
from appliance.sources.kubernetes.namespaces import NamespaceLabels
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
    ``error`` says why nothing is heard now. ``news`` is set with each change of any of these. ``ip_mode`` is the one
    that addresses are to have.
    """

    def __init__(
        self,
        cluster: ExchangeCluster,
        classes: Collection[str],
        *,
        ip_mode: str = DEFAULT_IP_MODE,
        with_namespaces: bool = False,
        timing: Timing | None = None,
        chance: Random | None = None,
    ) -> None:
        self.services: dict[str, ClaimedService] = {}
        self.news = asyncio.Event()
        self._cluster = cluster
        self.ip_mode = ip_mode
        self._is_listed = False
        self._error: SourceError | None = None
        self._namespaces = NamespaceLabels(self._relabelled) if with_namespaces else None
        self._classes = classes
        self._timing = timing or Timing()
        self._chance = chance or Random()  # noqa: S311 - spreads load, keeps no secret
        self._changed: dict[str, None] = {}

    async def follow(self) -> None:
        """Follow until cancelled. Only a bug ends it otherwise."""
        timing, chance = self._timing, self._chance
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Follower(self._cluster, _services, self, timing=timing, chance=chance).run())
            if self._namespaces is not None:
                labels = Follower(self._cluster, namespaces.choose, self._namespaces, timing=timing, chance=chance)
                tasks.create_task(labels.run())

    @property
    def is_complete(self) -> bool:
        """Whether everything that claims are made of was listed."""
        return self._is_listed and (self._namespaces is None or self._namespaces.is_complete)

    @property
    def error(self) -> SourceError | None:
        """Why something of it is not heard now."""
        return self._error or (self._namespaces.error if self._namespaces is not None else None)

    @property
    def claims(self) -> Mapping[str, Claim]:
        """The claims of all these Services, by owner."""
        return ClaimView(self.services, self._namespaces.labels if self._namespaces is not None else {})

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
            key, claimed = key_of(resource, text), self._read(text)
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
        self._is_listed = True
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
        self._error = None
        self.news.set()

    def failed(self, error: SourceError) -> None:
        """As in Listener."""
        self._error = error
        self.news.set()

    def put(self, owner: str, text: bytes | msgspec.Raw) -> None:
        """The Service is there, in this form."""
        try:
            claimed = self._read(text)
        except ValueError:
            return
        if claimed is None:
            self._forget(owner)
        elif self.services.get(owner) != claimed:
            self.services[owner] = claimed
            self._changed[owner] = None
            self.news.set()

    def _relabelled(self, names: Iterable[str]) -> None:
        """Namespaces have other labels: what of their Services is waiting may be served now."""
        changed = frozenset(names)
        if changed:
            self._changed.update({owner: None for owner in self.services if owner.partition("/")[0] in changed})
        self.news.set()

    def _read(self, text: bytes | msgspec.Raw) -> ClaimedService | None:
        return read_service(text, self._classes, self.ip_mode)

    def _forget(self, owner: str) -> None:
        if self.services.pop(owner, None) is not None:
            self._changed[owner] = None
            self.news.set()


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
                patch = status_patch(service, addresses, self._source.ip_mode)
                self._source.put(owner, await connection.send("PATCH", path, patch))
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


async def list_services(
    cluster: ExchangeCluster,
    classes: Collection[str],
    ip_mode: str = DEFAULT_IP_MODE,
    *,
    with_namespaces: bool = False,
) -> Mapping[str, ClaimedService]:
    """The Services of all namespaces, listed once, by owner.

    Raises:
        SourceError: they cannot be listed.
    """
    source = ClaimSource(cluster, classes, ip_mode=ip_mode, with_namespaces=with_namespaces)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(source.follow())
        while not source.is_complete and source.error is None:
            await source.news.wait()
            source.take()
        following.cancel()
    if source.error is not None:
        raise source.error
    return {owner: replace(each, claim=source.claims[owner]) for owner, each in source.services.items()}
