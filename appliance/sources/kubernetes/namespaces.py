"""The labels of the namespaces of a cluster, followed for ever."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from appliance.errors import SourceError
from appliance.sources.kubernetes.api import NAMESPACES, UNREADABLE, Connection, Resource
from appliance.sources.kubernetes.wire import Event


class Named(msgspec.Struct, frozen=True):
    """What is read of a namespace."""

    name: str
    labels: dict[str, str] | None = None


class _Namespace(msgspec.Struct, frozen=True):
    metadata: Named


class NamespaceLabels:
    """Labels by namespace: all of them from the moment ``is_complete`` is true. ``error`` says why nothing is heard.

    ``changed`` is called with the names of those whose labels changed, and with none where only the rest did.
    """

    def __init__(self, changed: Callable[[Iterable[str]], None]) -> None:
        self.labels: dict[str, Mapping[str, str]] = {}
        self.is_complete = False
        self.error: SourceError | None = None
        self._changed = changed

    def read(self, _: Resource, text: msgspec.Raw) -> Named | None:
        """As in Listener."""
        try:
            return _DECODER.decode(text).metadata
        except UNREADABLE:
            # No API server holds a Namespace that is none.
            return None

    def listed(self, items: Iterable[Named]) -> None:
        """As in Listener."""
        fresh: dict[str, Mapping[str, str]] = {each.name: each.labels or {} for each in items}
        changed = [name for name in self.labels.keys() | fresh.keys() if self.labels.get(name) != fresh.get(name)]
        self.labels, self.is_complete = fresh, True
        self._changed(changed)

    def happened(self, resource: Resource, event: Event) -> None:
        """As in Listener."""
        named = self.read(resource, event.object)
        if named is None:
            return
        before = self.labels.get(named.name)
        if event.type == "DELETED":
            self.labels.pop(named.name, None)
        else:
            self.labels[named.name] = named.labels or {}
        if before != self.labels.get(named.name):
            self._changed([named.name])

    def well(self) -> None:
        """As in Listener."""
        self.error = None
        self._changed(())

    def failed(self, error: SourceError) -> None:
        """As in Listener."""
        self.error = error
        self._changed(())


async def choose(_: Connection) -> Resource:
    """What a Follower follows for these."""
    return NAMESPACES


_DECODER = msgspec.json.Decoder(_Namespace)
