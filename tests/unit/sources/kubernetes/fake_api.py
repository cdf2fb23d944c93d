"""An API server in memory, behind the same seam as HTTP: versions, pages, watches, and every way to go wrong."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from appliance.errors import SourceError
from appliance.sources.kubernetes.api import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    SERVICES,
    Connection,
    Dropped,
    Expired,
    Refused,
    Resource,
    Unreachable,
)

Object = dict[str, Any]
BY_KIND = {resource.kind: resource for resource in (SERVICES, ENDPOINT_SLICES, ENDPOINTS)}


def service(name: str, *, vip: str = "10.50.0.1", port: int = 80, namespace: str = "default", **spec: Any) -> Object:
    """A Service of type LoadBalancer, as an API server has it."""
    return {
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": port, "protocol": "TCP"}]} | spec,
        "status": {"loadBalancer": {"ingress": [{"ip": vip}]}},
    }


def endpoint_slice(name: str, of: str, *addresses: str, port: int = 80, namespace: str = "default") -> Object:
    """A slice with one ready endpoint for each address."""
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": namespace, "name": name, "labels": {"kubernetes.io/service-name": of}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "ports": [{"name": "", "port": port, "protocol": "TCP"}],
    }


def endpoints(name: str, *addresses: str, port: int = 80, namespace: str = "default") -> Object:
    """The Endpoints of a Service."""
    return {
        "kind": "Endpoints",
        "metadata": {"namespace": namespace, "name": name},
        "subsets": [{"addresses": [{"ip": address} for address in addresses], "ports": [{"port": port}]}],
    }


class FakeApi:
    """The server. ``fault`` is raised on every request while it is set; ``log`` holds path and query of all requests.

    ``page_objects`` cuts lists where a limit is asked for. ``has_slices`` is whether discovery.k8s.io/v1 is served.
    ``expire_pages`` answers 410 to so many requests for a following page. ``ends_watches`` ends watches in time,
    ``begins_watches`` answers them at all.
    """

    def __init__(self, *objects: Object) -> None:
        self.fault: SourceError | None = None
        self.log: list[tuple[str, Mapping[str, str]]] = []
        self.page_objects = 2
        self.has_slices = True
        self.expire_pages = 0
        self.ends_watches = True
        self.begins_watches = True
        self.connects = 0
        self._version = 100
        self._oldest = 100
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._history: list[tuple[int, str, Object]] = []
        self._pages: dict[str, tuple[int, list[Object]]] = {}
        self._drops = 0
        self._news = asyncio.Event()
        for each in objects:
            self.put(each)

    @property
    def objects(self) -> list[Object]:
        return list(self._objects.values())

    def put(self, given: Object) -> None:
        """Create or replace an object."""
        meta = given["metadata"]
        name = (given["kind"], meta.get("namespace", ""), meta["name"])
        self._happen("MODIFIED" if name in self._objects else "ADDED", given)
        self._objects[name] = self._history[-1][2]

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        """Delete an object that may be there."""
        gone = self._objects.pop((kind, namespace, name), None)
        if gone is not None:
            self._happen("DELETED", gone)

    def _happen(self, what: str, given: Object) -> None:
        self._version += 1
        stored = given | {"metadata": given["metadata"] | {"resourceVersion": str(self._version)}}
        self._tell(what, stored)

    def say(self, what: str, object_: Object) -> None:
        """Have the watches say something that is true of nothing: a duplicate, a bookmark, an error."""
        self._tell(what, object_)

    def _tell(self, what: str, object_: Object) -> None:
        self._history.append((self._version, what, object_))
        self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def drop(self) -> None:
        """Break all watches off."""
        self._drops += 1
        self._ring()

    def compact(self) -> None:
        """Forget all that happened: whoever asks for it gets 410."""
        self._version += 1
        self._oldest = self._version

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        self.connects += 1
        yield self

    async def get(self, path: str, query: Mapping[str, str]) -> bytes:
        self._ask(path, query)
        if path == "/apis/discovery.k8s.io/v1":
            if not self.has_slices:
                raise Refused("not found", 404)
            return b'{"kind":"APIResourceList","resources":[{"name":"endpointslices"}]}'
        token = query.get("continue", "")
        if token:
            if self.expire_pages:
                self.expire_pages -= 1
                raise Expired("the page is gone")
            version, rest = self._pages[token]
        else:
            version, rest = self._version, [each for each in self.objects if _matches(path, each)]
        most = min(int(query.get("limit", len(rest) or 1)), self.page_objects if "limit" in query else len(rest) or 1)
        following = ""
        if len(rest) > most:
            following = f"{version}-{len(self._pages)}"
            self._pages[following] = (version, rest[most:])
        meta = {"resourceVersion": str(version), "continue": following}
        await asyncio.sleep(0.001)
        return msgspec.json.encode({"metadata": meta, "items": rest[:most]})

    @asynccontextmanager
    async def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        self._ask(path, query)
        since = int(query["resourceVersion"])
        if since < self._oldest:
            raise Expired("too old")
        if not self.begins_watches:
            await asyncio.Event().wait()
        yield self._lines(path, since, float(query["timeoutSeconds"]))

    async def _lines(self, path: str, since: int, watch_s: float) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        end_s, drops = loop.time() + watch_s, self._drops
        at = next((n for n, (version, *_) in enumerate(self._history) if version > since), len(self._history))
        while True:
            if self._drops != drops:
                raise Dropped("broken off")
            news = self._news
            for _, what, given in self._history[at:]:
                at += 1
                if what in {"BOOKMARK", "ERROR"} or _matches(path, given):
                    yield msgspec.json.encode({"type": what, "object": given})
            try:
                async with asyncio.timeout_at(end_s if self.ends_watches else None):
                    await news.wait()
            except TimeoutError:
                return

    def _ask(self, path: str, query: Mapping[str, str]) -> None:
        self.log.append((path, query))
        if self.fault is not None:
            raise self.fault

    def lists(self, resource: Resource) -> int:
        """How many lists were begun."""
        paths = [path for path, query in self.log if "watch" not in query and "continue" not in query]
        return sum(path.endswith(f"/{resource.plural}") for path in paths)

    def watches(self, resource: Resource) -> list[str]:
        """The resourceVersions from which watches were begun."""
        return [
            query["resourceVersion"]
            for path, query in self.log
            if "watch" in query and path.endswith(f"/{resource.plural}")
        ]


def down() -> Unreachable:
    """No answer."""
    return Unreachable("the API server gives no answer: connection refused")


def _matches(path: str, given: Object) -> bool:
    resource = BY_KIND[given["kind"]]
    return path in {resource.path(), resource.path(given["metadata"].get("namespace", "default"))}
