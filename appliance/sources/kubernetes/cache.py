"""The objects of a cluster as they were last heard of, and what they ask for. Pure state: no I/O, no clock.

Work is proportional to what changed: an object that changes marks its Service, and only marked Services are translated
again. A service that comes out as it was is the same object as before, so that whoever compares can do it by identity.
"""

import operator
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Literal

from appliance.model.desired import DesiredService, Problem, ServiceDefaults, Snapshot
from appliance.sources.kubernetes.objects import KubernetesObject, Metadata, Placed, Service
from appliance.sources.kubernetes.translate import Translation, translate
from appliance.sources.kubernetes.wire import Item, Key

Role = Literal["services", "backends"]
ServiceName = tuple[str, str]


class Cache:
    """Services and their backends.

    An object that has become malformed keeps its last good form; one that was never good is left out. Either way it is
    a problem of the snapshot.
    """

    def __init__(self, name: str, defaults: ServiceDefaults) -> None:
        self._name = name
        self._defaults = defaults
        self._items: dict[Role, dict[Key, Item]] = {"services": {}, "backends": {}}
        self._problems: dict[Key, Problem] = {}
        self._by_service: dict[ServiceName, dict[Key, KubernetesObject]] = {}
        self._translations: dict[ServiceName, Translation] = {}
        self._ages: dict[ServiceName, str] = {}
        self._order: list[ServiceName] | None = None
        self._marked: dict[ServiceName, None] = {}
        self._snapshot: Snapshot | None = None

    def known(self, role: Role) -> dict[Key, Item]:
        """What was last heard of each object, malformed ones included."""
        return self._items[role]

    def metadata(self, owner: str) -> Metadata | None:
        """Metadata of the Service ``namespace/name``, for those who write about it; None if there is none of ours.

        Of one that was never well-formed there is only its name.
        """
        namespace, _, name = owner.partition("/")
        key = Key("Service", namespace, name)
        value = self._by_service.get((namespace, name), {}).get(key)
        if isinstance(value, Service):
            return value.metadata
        item = self._items["services"].get(key)
        return Metadata(name, namespace, resource_version=item.version or None) if item is not None else None

    def put(self, role: Role, item: Item) -> None:
        """The object is there, in this form."""
        before = self._items[role].get(item.key)
        if before is item:
            return
        if before is not None and before.service != item.service:
            self.remove(role, item.key)
        self._items[role][item.key] = item
        if item.problem is not None:
            self._set_problem(item.key, item.problem)
            return
        self._set_problem(item.key, None)
        if item.value is not None:
            self._by_service.setdefault(item.service, {})[item.key] = item.value
            self._marked[item.service] = None

    def remove(self, role: Role, key: Key) -> None:
        """The object is gone, or none of our business any more."""
        item = self._items[role].pop(key, None)
        if item is None:
            return
        self._set_problem(key, None)
        objects = self._by_service.get(item.service, {})
        if objects.pop(key, None) is not None:
            self._marked[item.service] = None
            if not objects:
                del self._by_service[item.service]

    def replace(self, role: Role, namespace: str, items: Iterable[Item]) -> None:
        """A complete list: of the role, in the namespace (all of them if empty), nothing else is there."""
        fresh = {item.key: item for item in items}
        gone = [key for key in self._items[role] if key not in fresh and (not namespace or key.namespace == namespace)]
        for key in gone:
            self.remove(role, key)
        for item in fresh.values():
            self.put(role, item)

    def refresh(self, most: int) -> bool:
        """Translate up to ``most`` marked Services; returns whether marked ones are left."""
        for name in list(self._marked)[:most]:
            del self._marked[name]
            self._translate(name)
        return bool(self._marked)

    def snapshot(self) -> Snapshot:
        """What all translated Services ask for, the older first; the same object as before if that is the same."""
        if self._snapshot is None:
            if self._order is None:
                # Of two claims to one VIP:port the first is the older.
                self._order = sorted(self._ages, key=lambda name: (self._ages[name], name))
            translations = [self._translations[name] for name in self._order]
            malformed = (self._problems[key] for key in sorted(self._problems))
            self._snapshot = Snapshot(
                self._name,
                tuple(chain.from_iterable(each.services for each in translations)),
                (*malformed, *chain.from_iterable(each.problems for each in translations)),
                tuple(chain.from_iterable(each.notes for each in translations)),
            )
        return self._snapshot

    def _translate(self, name: ServiceName) -> None:
        objects = self._by_service.get(name, {})
        service = objects.get(Key("Service", *name))
        if not isinstance(service, Service):
            self._forget(name)
            return
        age = service.metadata.creation_timestamp or ""
        if self._ages.get(name) != age:
            self._ages[name] = age
            self._order = self._snapshot = None
        before = self._translations.get(name)
        after = translate([Placed(objects[key]) for key in sorted(objects)], self._defaults)
        if before is not None:
            services = tuple(_same(before.services, after.services))
            after = replace(after, services=services)
            if after == before and all(map(operator.is_, services, before.services)):
                return
        self._translations[name] = after
        self._snapshot = None

    def _forget(self, name: ServiceName) -> None:
        if self._translations.pop(name, None) is not None:
            del self._ages[name]
            self._order = self._snapshot = None

    def _set_problem(self, key: Key, problem: Problem | None) -> None:
        if self._problems.get(key) == problem:
            return
        if problem is None:
            del self._problems[key]
        else:
            self._problems[key] = problem
        self._snapshot = None


def _same(before: Collection[DesiredService], after: Iterable[DesiredService]) -> Iterator[DesiredService]:
    """The services after, each the object from before where that is equal and names the same backends."""
    known = {service.key: service for service in before}
    for service in after:
        old = known.get(service.key)
        yield old if old is not None and old == service and _targets(old) == _targets(service) else service


def _targets(service: DesiredService) -> list[tuple[str, bool]]:
    return [(backend.target, backend.is_pod) for backend in service.backends]
