"""A cluster as a source of desired services."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random

import msgspec

from appliance.errors import SourceError
from appliance.model.desired import ServiceDefaults, Snapshot
from appliance.sources.kubernetes.api import SERVICES, Cluster, Connection, Resource
from appliance.sources.kubernetes.cache import Cache, Role
from appliance.sources.kubernetes.decoding import Malformed
from appliance.sources.kubernetes.discovery import backends_resource
from appliance.sources.kubernetes.objects import Metadata
from appliance.sources.kubernetes.watch import Follower, Timing
from appliance.sources.kubernetes.wire import Event, Item, Key, Reader, key_of

NAME = "kubernetes"
COALESCE_S = 0.05
"""Changes within this time of a snapshot are put together into the next one; the first change is not delayed."""

TRANSLATED_AT_ONCE = 100
"""Services translated before others get their turn: about 10 ms of work."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What of the cluster is ours.

    ``namespaces`` none means all of them. ``selector`` is a label selector of Services. ``classes`` are the values of
    ``spec.loadBalancerClass`` that are ours, "" stands for Services without one. By the API's own contract (core/v1,
    ServiceSpec) a Service with a class belongs to that implementation alone, so the default takes none with a class, as
    MetalLB does.
    """

    namespaces: tuple[str, ...] = ()
    selector: str = ""
    classes: Collection[str] = ("",)


class KubernetesSource:
    """Services of type LoadBalancer and their backends, as an API server tells them.

    ``tell`` gets a line for the log where something is decided once (which API the backends come from). ``now`` is the
    time of day, for "since when" in errors.
    """

    def __init__(
        self,
        cluster: Cluster,
        scope: Scope,
        defaults: ServiceDefaults,
        tell: Callable[[str], None],
        *,
        timing: Timing | None = None,
        chance: Random | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster = cluster
        self._scope = scope
        self._tell = tell
        self._now = now
        self._timing = timing or Timing()
        self._chance = chance or Random()  # noqa: S311 - spreads load, keeps no secret
        self._reader = Reader(scope.classes)
        self._cache = Cache(NAME, defaults)
        self._resource: Resource | None = None
        self._changed = asyncio.Event()
        self._seen_s: float | None = None
        self._listed = False
        self._ears = [
            _Ear(
                role,
                namespace,
                self._cache,
                self._reader,
                heard=self._heard,
                turned=self._changed.set,
                listed=self._has_listed,
            )
            for namespace in scope.namespaces or ("",)
            for role in ("services", "backends")
        ]
        self._since: datetime | None = None

    def metadata(self, owner: str) -> Metadata | None:
        """Metadata of the Service ``namespace/name``; None if it is not there or not ours."""
        return self._cache.metadata(owner)

    async def snapshots(self) -> AsyncIterator[Snapshot | SourceError]:
        """A snapshot when everything was listed, then one after each change that makes a difference; never ends.

        A SourceError means that something of the cluster cannot be heard at the moment: hold the last snapshot.
        """
        tasks = [asyncio.create_task(self._follower(ear).run(), name=f"kubernetes {ear.name}") for ear in self._ears]
        for task in tasks:
            task.add_done_callback(lambda _: self._changed.set())
        try:
            said: Snapshot | str | None = None
            while True:
                await self._changed.wait()
                self._changed.clear()
                seen_s, self._seen_s = self._seen_s, None
                for task in tasks:
                    if task.done():
                        task.result()
                item = await self._state()
                # Not taken earlier: a list that came in meanwhile is in this snapshot.
                listed = self._listed
                if isinstance(item, Snapshot):
                    self._listed = False
                else:
                    self._seen_s = seen_s if seen_s is not None else self._seen_s
                # By identity: equal snapshots may still name other pods.
                saying = str(item) if isinstance(item, SourceError) else item
                if item is None or saying is said or (isinstance(saying, str) and saying == said):
                    continue
                said = saying
                yield item if isinstance(item, SourceError) else replace(item, seen_s=seen_s, listed=listed)
                await asyncio.sleep(COALESCE_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _heard(self) -> None:
        """Something is new. The director's clock is the loop's: both are monotonic."""
        if self._seen_s is None:
            self._seen_s = asyncio.get_running_loop().time()
        self._changed.set()

    def _has_listed(self) -> None:
        """What is new comes from a list: what is not in it was left out."""
        self._listed = True
        self._heard()

    async def _state(self) -> Snapshot | SourceError | None:
        """What there is to say now; None while some list is not there yet."""
        error = next((ear.error for ear in self._ears if ear.error is not None), None)
        if error is not None:
            self._since = self._since or self._now()
            return SourceError(f"{error.message} (since {self._since:%F %T} UTC)", hint=error.hint)
        self._since = None
        if not all(ear.complete for ear in self._ears):
            return None
        while self._cache.refresh(TRANSLATED_AT_ONCE):  # noqa: ASYNC110 - work in portions, no waiting
            await asyncio.sleep(0)
        return self._cache.snapshot()

    def _follower(self, ear: "_Ear") -> Follower[Item]:
        return Follower(
            self._cluster,
            self._services if ear.role == "services" else self._backends,
            ear,
            namespace=ear.namespace,
            selector=self._scope.selector if ear.role == "services" else "",
            timing=self._timing,
            chance=self._chance,
        )

    async def _services(self, _: Connection) -> Resource:
        return SERVICES

    async def _backends(self, connection: Connection) -> Resource:
        resource = await backends_resource(connection)
        if resource != self._resource:
            self._resource = resource
            self._tell(f"backends come from {resource.kind} objects ({resource.version})")
        return resource


class _Ear:
    """Hears one follower: keeps the cache, and whether what it holds can be believed."""

    def __init__(
        self,
        role: Role,
        namespace: str,
        cache: Cache,
        reader: Reader,
        *,
        heard: Callable[[], None],
        turned: Callable[[], None],
        listed: Callable[[], None],
    ) -> None:
        self.role = role
        self.namespace = namespace
        self.name = f"{role} in {namespace}" if namespace else role
        self.complete = False
        self.error: SourceError | None = None
        self._cache = cache
        self._reader = reader
        self._heard = heard
        self._turned = turned
        self._listed = listed

    def read(self, resource: Resource, text: msgspec.Raw) -> Item | None:
        try:
            found = self._reader.item(resource, text, self._cache.known(self.role))
        except Malformed:
            # Nothing can be said of an object that has no name, and no API server holds one.
            return None
        return None if isinstance(found, Key) else found

    def listed(self, items: Iterable[Item]) -> None:
        self._cache.replace(self.role, self.namespace, items)
        self.complete = True
        self._listed()

    def happened(self, resource: Resource, event: Event) -> None:
        try:
            if event.type == "DELETED":
                found: Item | Key = key_of(resource, event.object)
            else:
                found = self._reader.item(resource, event.object, self._cache.known(self.role))
        except Malformed:
            return
        if isinstance(found, Key):
            self._cache.remove(self.role, found)
        else:
            self._cache.put(self.role, found)
        self._heard()

    def well(self) -> None:
        if self.error is not None:
            self.error = None
            self._turned()

    def failed(self, error: SourceError) -> None:
        self.error = error
        self._turned()
