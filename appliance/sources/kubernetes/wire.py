"""Lists and watch events as an API server sends them -> objects, one by one. Pure.

An object is looked at in two steps: its head says whether it concerns us at all, and only then are its fields built. So
one malformed object spoils nobody else's reading, and the many that are none of our business cost next to nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import msgspec

from appliance.model.desired import Problem
from appliance.sources.kubernetes.api import SERVICES, UNREADABLE, Dropped, Resource, Status, Unreachable, refused
from appliance.sources.kubernetes.decoding import Malformed, decode_json
from appliance.sources.kubernetes.objects import (
    SERVICE_NAME_LABEL,
    Endpoints,
    EndpointSlice,
    KubernetesObject,
    Service,
    service_of,
)
from appliance.sources.nodes import shown

NOISY = frozenset(
    {("kube-system", "kube-controller-manager"), ("kube-system", "kube-scheduler"), ("default", "kubernetes")}
)
"""Leader election and the API server itself rewrite these all the time, and none of them is ever served here."""

_TYPES: dict[str, type[KubernetesObject]] = {
    "Service": Service,
    "EndpointSlice": EndpointSlice,
    "Endpoints": Endpoints,
}


class Key(NamedTuple):
    """What names an object among those of all kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()} {shown(self.namespace)}/{shown(self.name)}"


@dataclass(frozen=True, slots=True)
class Item:
    """One object that concerns us. ``service`` is the namespace and name of its Service.

    ``value`` is None for a malformed one, and ``problem`` says why.
    """

    key: Key
    service: tuple[str, str]
    version: str
    value: KubernetesObject | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads objects; of Services only those of type LoadBalancer whose class is in ``classes`` ("": without class)."""

    classes: Collection[str] = ("",)

    def item(self, resource: Resource, text: msgspec.Raw, known: Mapping[Key, Item]) -> Item | Key:
        """The object, or only its key if it does not concern us; of one that is ``known`` in this version, that.

        Raises:
            Malformed: it has not even a name.
        """
        head = _head(text)
        key = _key(resource, head)
        name = _service_name(resource, head.metadata)
        if not name or (key.namespace, key.name) in NOISY or not self._concerns(resource, head.spec):
            return key
        version = head.metadata.resource_version
        same = known.get(key)
        if same is not None and version and same.version == version:
            return same
        try:
            value = decode_json(cast("Any", _TYPES[resource.kind]), text)
        except Malformed as error:
            where = f"{key}: {error.path}" if error.path else str(key)
            service = (key.namespace, name)
            problem = Problem(where, error.message, error.hint, "/".join(service), in_cluster=True)
            return Item(key, service, version, problem=problem)
        # The head's texts would stay in memory beside those of the object.
        meta = value.metadata
        key = Key(resource.kind, meta.namespace or "", meta.name)
        return Item(key, (key.namespace, service_of(value)), meta.resource_version or "", value)

    def _concerns(self, resource: Resource, spec: object) -> bool:
        """Whether it is one of our Services, or no Service; one that cannot be told to be another's counts as ours."""
        if resource is not SERVICES or not isinstance(spec, dict):
            return True
        kind, name = spec.get("type"), spec.get("loadBalancerClass")
        if kind is None or (isinstance(kind, str) and kind != "LoadBalancer"):
            return False
        return not isinstance(name, str | None) or (name or "") in self.classes


def key_of(resource: Resource, text: msgspec.Raw) -> Key:
    """The name of the object.

    Raises:
        Malformed: it has none.
    """
    return _key(resource, _head(text))


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    resource_version: str = ""
    labels: Any = None


class _Head(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: Any = None


def _head(text: msgspec.Raw) -> _Head:
    try:
        return _HEADS.decode(text)
    except UNREADABLE as error:
        raise Malformed("metadata", f"an object without a name: {error}", "it is ignored") from None


def _key(resource: Resource, head: _Head) -> Key:
    return Key(resource.kind, head.metadata.namespace, head.metadata.name)


def _service_name(resource: Resource, meta: _Meta) -> str:
    """The Service that the object belongs to; empty for a slice of something else."""
    if resource.kind != "EndpointSlice":
        return meta.name
    name = meta.labels.get(SERVICE_NAME_LABEL) if isinstance(meta.labels, dict) else None
    return name if isinstance(name, str) else ""


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str
    continue_: str | None = msgspec.field(name="continue", default=None)


class _List(msgspec.Struct, frozen=True):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. ``following`` asks for the next part, and is empty in the last one."""

    version: str
    following: str
    objects: list[msgspec.Raw]


def page(body: bytes) -> Page:
    """A list, or a part of one.

    Raises:
        Unreachable: what answered is no API server, or the answer was cut off.
    """
    try:
        found = _LISTS.decode(body)
    except UNREADABLE as error:
        hint = "check the server's address, and what stands between here and it"
        raise Unreachable(f"the answer is no list of Kubernetes objects: {error}", hint=hint) from None
    if not found.metadata.resource_version:
        raise Unreachable("the list has no resourceVersion", hint="check the server's address")
    return Page(found.metadata.resource_version, found.metadata.continue_ or "", found.items or [])


class _Event(msgspec.Struct, frozen=True):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch: the object is there in this form, or no more. ``BOOKMARK`` tells only the version."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: msgspec.Raw
    version: str


def event(line: bytes, asked: str) -> Event:
    """One line of a watch; ``asked`` is what was asked, for the error.

    Raises:
        Expired: an ERROR event with code 410: the watch fell behind.
        Refused: an ERROR event with another code.
        Dropped: the line was cut off, or is no event.
    """
    try:
        found = _EVENTS.decode(line)
        if found.type == "ERROR":
            status = msgspec.json.decode(found.object, type=Status)
            raise refused(status.code or 0, status.message or "", asked=asked)
        version = _VERSIONS.decode(found.object).metadata.resource_version
    except UNREADABLE as error:
        raise Dropped(f"the watch sent what is no event: {error}") from None
    return Event(cast("Any", found.type), found.object, version or "")


class _Versioned(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str | None = None


class _VersionHead(msgspec.Struct, frozen=True):
    metadata: _Versioned


_HEADS = msgspec.json.Decoder(_Head)
_LISTS = msgspec.json.Decoder(_List)
_EVENTS = msgspec.json.Decoder(_Event)
_VERSIONS = msgspec.json.Decoder(_VersionHead)
