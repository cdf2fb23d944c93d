"""What a request to an API server wants, by its method, path and query."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.kube.objects import Resource

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``verb`` is RBAC's word for it, or ``discover`` for one that is not about a resource."""

    verb: str
    path: str
    query: Mapping[str, str]
    body: Any = None
    content_type: str = ""
    resource: Resource | None = None
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None

    @property
    def kind(self) -> str | None:
        """The kind of object that it is about."""
        return self.resource.kind if self.resource else None


def understand(method: str, target: str, body: Any, content_type: str, resources: Iterable[Resource]) -> Request:
    """The request, seen by a server that has these resources."""
    address = urlsplit(target)
    query = dict(parse_qsl(address.query, keep_blank_values=True))
    root, namespace, rest = _divided(address.path)
    found = next((one for one in resources if (one.root, one.plural) == (root, rest[0] if rest else None)), None)
    if found is None:
        return Request("discover", address.path, query, body, content_type)
    _, name, subresource, *_ = *rest, None, None
    verb = _VERBS.get(method, "get")
    if verb == "get" and name is None:
        verb = "watch" if query.get("watch") in ("1", "true", "True") else "list"
    return Request(verb, address.path, query, body, content_type, found, namespace, name, subresource)


def _divided(path: str) -> tuple[str, str | None, list[str]]:
    """Group and version, namespace, and the steps from the resource on.

    A namespace is a place (``namespaces/a/services``) and an object (``namespaces/a``, ``namespaces/a/status``).
    """
    steps = path.strip("/").split("/")
    depth = 2 if steps[0] == "api" else 3
    root, rest = "/" + "/".join(steps[:depth]), steps[depth:]
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] != "status":
        return root, rest[1], rest[2:]
    return root, None, rest
