"""What an API server remembers: objects, their versions, and what happened to them. No HTTP in it, and thread-safe.

The rules are those of Kubernetes' "API concepts" and "API conventions"; the contract suite holds them against a real
server.
"""

import json
import threading
import time
import uuid
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from tests.kube.objects import RESOURCES, Object, Resource
from tests.kube.selectors import Selector

SNAPSHOTS = 20
"""How many lists of a resource may be under way at once, page by page."""
CHANGES = 20_000
"""How many changes of a resource are remembered at least; up to twice as many are."""
Key = tuple[str | None, str]
"""Namespace and name of an object; sorted as a server lists them."""


class Refused(Exception):
    """A request that gets a Status object for an answer: HTTP status, reason, message."""

    def __init__(self, code: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason

    def status(self) -> Object:
        """The Status object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": int(self.code),
        }


def expired(message: str) -> Refused:
    """The answer to whoever wants what has been forgotten."""
    return Refused(HTTPStatus.GONE, "Expired", message)


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one object. Nobody changes ``value`` any more."""

    value: Object
    encoded: bytes
    """As JSON, the way a list holds it: without apiVersion and kind."""

    @classmethod
    def of(cls, value: Object) -> "Stored":
        """The object as it is stored."""
        bare = {name: part for name, part in value.items() if name not in ("apiVersion", "kind")}
        return cls(value, json.dumps(bare, separators=(",", ":")).encode())


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened: how the object was before and is now (None: there was or is none)."""

    version: int
    before: Stored | None
    after: Stored | None

    def event(self, selector: Selector) -> tuple[str, Object] | None:
        """What a watch with this selector sees of it: a leave is a DELETED, an entry is an ADDED."""
        was = self.before is not None and selector.matches(self.before.value)
        now = self.after is not None and selector.matches(self.after.value)
        if now and self.after is not None:
            return ("MODIFIED" if was else "ADDED"), self.after.value
        if was and self.before is not None:
            gone = self.after or self.before
            metadata = {**gone.value["metadata"], "resourceVersion": str(self.version)}
            return "DELETED", {**gone.value, "metadata": metadata}
        return None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, all of it as it was at ``version``."""

    version: int
    items: tuple[Stored, ...]
    remaining: int
    last: Key | None


@dataclass
class _Shelf:
    """Everything of one resource."""

    objects: dict[Key, Stored] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    oldest: int = 1
    snapshots: dict[int, tuple[tuple[Key, Stored], ...]] = field(default_factory=dict)


class Store:
    """The objects of a cluster. ``changed`` is notified whenever something happened, and may be by others too."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.version = 1
        self._shelves = {resource: _Shelf() for resource in RESOURCES}

    def create(self, resource: Resource, wanted: Object) -> Object:
        """Store a new object.

        Raises:
            Refused: 409, there is one of that name.
        """
        metadata = dict(wanted["metadata"])
        if "name" not in metadata:
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        key = metadata.get("namespace"), metadata["name"]
        with self.changed:
            if key in self._shelf(resource).objects:
                raise Refused(
                    HTTPStatus.CONFLICT, "AlreadyExists", f'{resource.plural} "{metadata["name"]}" already exists'
                )
            metadata["uid"] = str(uuid.uuid4())
            metadata["creationTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            value = {**wanted, "metadata": metadata}
            if resource.has_status:
                value["status"] = {"loadBalancer": {}} if resource.kind == "Service" else {}
            return self._put(resource, key, value)

    def get(self, resource: Resource, key: Key) -> Object:
        """The object.

        Raises:
            Refused: 404.
        """
        with self.changed:
            return self._existing(resource, key).value

    def update(
        self, resource: Resource, key: Key, change: Callable[[Object], Object], *, status: bool = False
    ) -> Object:
        """Store what ``change`` makes of the object: its status alone, or all but its status.

        Raises:
            Refused: 404; 409, the resourceVersion it was made of is not the newest any more.
        """
        with self.changed:
            before = self._existing(resource, key).value
            wanted = change(before)
            given = wanted["metadata"].get("resourceVersion")
            if given not in (None, "", before["metadata"]["resourceVersion"]):
                raise Refused(
                    HTTPStatus.CONFLICT,
                    "Conflict",
                    f'Operation cannot be fulfilled on {resource.plural} "{key[1]}": the object has been modified; '
                    "please apply your changes to the latest version and try again",
                )
            value = _merged(resource, before, wanted, status=status)
            return before if value == before else self._put(resource, key, value)

    def delete(self, resource: Resource, key: Key, preconditions: Mapping[str, Any]) -> Object:
        """Forget the object and return its last state.

        Raises:
            Refused: 404; 409, a precondition (uid, resourceVersion) does not hold.
        """
        with self.changed:
            before = self._existing(resource, key)
            for name, wanted in preconditions.items():
                if before.value["metadata"][name] != wanted:
                    raise Refused(HTTPStatus.CONFLICT, "Conflict", f"the {name} in the precondition does not match")
            del self._shelf(resource).objects[key]
            self._note(resource, before, None)
            return before.value

    def page(
        self,
        resource: Resource,
        namespace: str | None,
        selector: Selector,
        limit: int,
        begun: tuple[int, Key] | None,
    ) -> Page:
        """At most ``limit`` objects (0: all), from where the page before ended; that was at the same version.

        Raises:
            Refused: 410, that version is forgotten.
        """
        with self.changed:
            version, after = begun or (self.version, None)
            shelf = self._shelf(resource)
            if begun is None:
                everything = tuple(sorted(shelf.objects.items(), key=_place))
            elif version in shelf.snapshots:
                everything = shelf.snapshots[version]
            else:
                raise expired("The provided continue parameter is too old to display a consistent list result.")
            if limit and len(everything) > limit:
                shelf.snapshots[version] = everything
                while len(shelf.snapshots) > SNAPSHOTS:
                    del shelf.snapshots[min(shelf.snapshots)]
        left = [
            (key, stored)
            for key, stored in everything
            if (namespace is None or key[0] == namespace)
            and (after is None or _sortable(key) > _sortable(after))
            and selector.matches(stored.value)
        ]
        taken = left[:limit] if limit else left
        return Page(
            version, tuple(stored for _, stored in taken), len(left) - len(taken), taken[-1][0] if taken else None
        )

    def changes_since(self, resource: Resource, version: int) -> list[Change]:
        """What happened after this version, oldest first.

        Raises:
            Refused: 410, that is forgotten in part.
        """
        with self.changed:
            shelf = self._shelf(resource)
            if version < shelf.oldest:
                raise expired(f"too old resource version: {version} ({shelf.oldest})")
            changes = shelf.changes
            return changes[bisect_right(changes, version, key=lambda change: change.version) :]

    def wait(self, version: int, is_over: Callable[[], bool], deadline_s: float) -> None:
        """Wait for something newer than this version, for ``is_over``, or for the (monotonic) deadline."""
        with self.changed:
            while self.version <= version and not is_over():
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    break
                self.changed.wait(min(left_s, threading.TIMEOUT_MAX))

    def compact(self) -> None:
        """Forget everything but the newest state."""
        with self.changed:
            for shelf in self._shelves.values():
                shelf.oldest = self.version
                shelf.changes.clear()
                shelf.snapshots.clear()
            self.changed.notify_all()

    def _shelf(self, resource: Resource) -> _Shelf:
        """Each version of a resource has its own: nothing is converted, unlike in a real server."""
        return self._shelves[resource]

    def _existing(self, resource: Resource, key: Key) -> Stored:
        try:
            return self._shelf(resource).objects[key]
        except KeyError:
            raise Refused(HTTPStatus.NOT_FOUND, "NotFound", f'{resource.plural} "{key[1]}" not found') from None

    def _put(self, resource: Resource, key: Key, value: Object) -> Object:
        before = self._shelf(resource).objects.get(key)
        metadata = {**value["metadata"], "resourceVersion": str(self.version + 1)}
        after = Stored.of({**value, "metadata": metadata})
        self._shelf(resource).objects[key] = after
        self._note(resource, before, after)
        return after.value

    def _note(self, resource: Resource, before: Stored | None, after: Stored | None) -> None:
        self.version += 1
        shelf = self._shelf(resource)
        shelf.changes.append(Change(self.version, before, after))
        if len(shelf.changes) > 2 * CHANGES:
            shelf.oldest = shelf.changes[CHANGES - 1].version
            del shelf.changes[:CHANGES]
        self.changed.notify_all()


def _merged(resource: Resource, before: Object, wanted: Object, *, status: bool) -> Object:
    """The part of ``wanted`` that the request may change, the rest as it was."""
    if status:
        return {**before, "status": wanted.get("status", {})}
    kept = {name: before["metadata"][name] for name in ("uid", "creationTimestamp", "resourceVersion")}
    value = {**wanted, "metadata": {**wanted["metadata"], **kept}}
    return {**value, "status": before["status"]} if resource.has_status else value


def _place(item: tuple[Key, Stored]) -> tuple[str, str]:
    return _sortable(item[0])


def _sortable(key: Key) -> tuple[str, str]:
    return key[0] or "", key[1]
