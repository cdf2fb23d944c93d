"""One API server under test, real or double, with a namespace for the objects of one test."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.kube.client import JSON, MERGE_PATCH, Answer, Client, Watch
from tests.kube.objects import Object, Resource, namespace, resource, resource_of


class Server(Protocol):
    """What the real server and its double have in common."""

    @property
    def url(self) -> str: ...
    @property
    def authority(self) -> Path | None: ...
    def client(self, user: str = ...) -> Client: ...
    def kubeconfig(self, user: str = ..., *, token_file: bool = ...) -> Path: ...
    def rotate_token(self, user: str = ...) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def restart(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def compact(self) -> None: ...


@dataclass
class Api:
    """A server, and short words for what tests do to its objects.

    An object of the namespace ``default``, as the builders make them, is put into ``namespace`` instead. An
    EndpointSlice is written in the version that the server has.
    """

    server: Server
    namespace: str

    def __post_init__(self) -> None:
        self.ensure_namespace(self.namespace)
        group = self.client.get("/apis/discovery.k8s.io")
        versions = group.body["versions"] if group.status == 200 else []
        self.slice_versions: tuple[str, ...] = tuple(one["version"] for one in versions)

    @property
    def client(self) -> Client:
        """A thin client with the administrator's token of now."""
        return self.server.client()

    def kubeconfig(self, user: str = "admin", *, token_file: bool = False) -> Path:
        """A kubeconfig with the user's token, or with a file that holds it."""
        return self.server.kubeconfig(user, token_file=token_file)

    def ensure_namespace(self, name: str) -> None:
        """Make a namespace, if it is not there."""
        self.client.request("POST", "/api/v1/namespaces", namespace(name)).expect(201, 409)

    def create(self, item: Object) -> Object:
        """Create an object, and its status where it has one; returns what the server stored."""
        (made,) = self.create_all([item])
        return made

    def create_all(self, items: Iterable[Object]) -> list[Object]:
        """Create many objects, fast: over one connection, then their statuses over another."""
        wanted = [self._placed(item) for item in items]
        posts = ((self._home(item).path(item["metadata"].get("namespace")), item) for item in wanted)
        made: list[Object] = [answer.expect(201) for answer in self.client.request_each("POST", posts)]
        late = [
            place
            for place, (item, stored) in enumerate(zip(wanted, made, strict=True))
            if self._home(item).has_status and item.get("status", stored["status"]) != stored["status"]
        ]
        puts = (
            (self._path(made[place], "status"), {**made[place], "status": wanted[place]["status"]}) for place in late
        )
        for place, answer in zip(late, self.client.request_each("PUT", puts), strict=True):
            made[place] = answer.expect(200)
        return made

    def replace(self, item: Object) -> Object:
        """Write a whole object over the one of its name; without a resourceVersion whatever that is."""
        wanted = self._placed(item)
        answer: Object = self.client.request("PUT", self._path(wanted), wanted).expect(200)
        if self._home(wanted).has_status and wanted.get("status") != answer.get("status"):
            written = {**answer, "status": wanted.get("status", {})}
            answer = self.client.request("PUT", self._path(wanted, "status"), written).expect(200)
        return answer

    def patch(self, item: Object, patch: Object, *, status: bool = False) -> Object:
        """Change an object, or its status, by a JSON merge patch."""
        path = self._path(self._placed(item), "status" if status else None)
        answer: Object = self.client.request("PATCH", path, patch, content_type=MERGE_PATCH).expect(200)
        return answer

    def try_replace(self, item: Object) -> Answer:
        """As ``replace``, without the status, and whatever the server says to it."""
        wanted = self._placed(item)
        return self.client.request("PUT", self._path(wanted), wanted, content_type=JSON)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object."""
        self.client.request("DELETE", self.resource(kind).path(namespace, name)).expect(200, 202)

    def get(self, kind: str, name: str) -> Object:
        """An object of the test's namespace."""
        item: Object = self.client.get(self.resource(kind).path(self.namespace, name)).expect(200)
        return item

    def list(self, kind: str, *, everywhere: bool = False, **query: str) -> Object:
        """The objects of the test's namespace, or of the cluster; page after page if ``limit`` is given."""
        return self.client.list(self._where(kind, everywhere=everywhere), **query)

    @contextlib.contextmanager
    def watch(self, kind: str, *, everywhere: bool = False, within_s: float = 10.0, **query: str) -> Iterator[Watch]:
        """A watch of the test's namespace, or of the cluster."""
        with self.client.watch(self._where(kind, everywhere=everywhere), within_s=within_s, **query) as watch:
            yield watch

    def resource(self, kind: str) -> Resource:
        """The kind in the version that this server has."""
        if kind == "EndpointSlice":
            return resource(kind, f"discovery.k8s.io/{self.slice_versions[0]}")
        return resource(kind)

    def _where(self, kind: str, *, everywhere: bool) -> str:
        return self.resource(kind).path(None if everywhere else self.namespace)

    def _home(self, item: Object) -> Resource:
        return self.resource(item["kind"]) if item["kind"] == "EndpointSlice" else resource_of(item)

    def _path(self, item: Object, subresource: str | None = None) -> str:
        metadata = item["metadata"]
        return self._home(item).path(metadata.get("namespace"), metadata["name"], subresource)

    def _placed(self, item: Object) -> Object:
        home = self._home(item)
        metadata: dict[str, Any] = dict(item["metadata"])
        if not home.namespaced:
            return item
        if metadata.get("namespace", "default") == "default":
            metadata["namespace"] = self.namespace
        elif metadata["namespace"] != self.namespace:
            self.ensure_namespace(metadata["namespace"])
        return {**item, "apiVersion": home.api_version, "metadata": metadata}
