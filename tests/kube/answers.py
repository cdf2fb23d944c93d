"""What the double answers to a request, apart from watches: the store's objects in the API's words."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from tests.kube.objects import Object, Resource
from tests.kube.request import Request
from tests.kube.selectors import BadSelector, Selector, parse_selector
from tests.kube.store import Key, Refused, Store

GIT_VERSION = "v1.33.0"
COMPACT = (",", ":")


def encoded(value: object) -> bytes:
    """As JSON."""
    return json.dumps(value, separators=COMPACT).encode()


def answer(store: Store, request: Request, resource: Resource) -> tuple[HTTPStatus, bytes]:
    """The answer to any request for a resource, watches excepted.

    Raises:
        Refused: it is a Status that says no.
    """
    if request.verb == "list":
        return HTTPStatus.OK, list_body(store, request, resource)
    if request.verb == "create":
        check(request, resource)
        metadata = {**request.body["metadata"], **({"namespace": request.namespace} if request.namespace else {})}
        return HTTPStatus.CREATED, encoded(store.create(resource, {**request.body, "metadata": metadata}))
    key = request.namespace, request.name or ""
    if request.verb == "delete":
        preconditions = (request.body or {}).get("preconditions") or {}
        gone = store.delete(resource, key, preconditions)
        return HTTPStatus.OK, encoded(_success(resource, gone))
    if request.verb == "get":
        return HTTPStatus.OK, encoded(store.get(resource, key))
    change = _CHANGES[request.verb](request)
    return HTTPStatus.OK, encoded(store.update(resource, key, change, status=request.subresource == "status"))


def selector_of(request: Request) -> Selector:
    """The request's selectors.

    Raises:
        Refused: 400, one of them cannot be understood.
    """
    try:
        return parse_selector(request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))
    except BadSelector as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "BadRequest", str(error)) from None


def list_body(store: Store, request: Request, resource: Resource, *, empty: bool = False) -> bytes:
    """A list, or one page of it; an empty one says that it is complete.

    Raises:
        Refused: 400 for a selector, 410 for a token that is too old.
    """
    selector = selector_of(request)
    begun = _opened(request.query["continue"]) if request.query.get("continue") else None
    # resourceVersion=0 is answered from a server's cache, which does not cut lists into pages.
    limit = 0 if request.query.get("resourceVersion") == "0" and begun is None else int(request.query.get("limit") or 0)
    page = store.page(resource, request.namespace, selector, limit, begun)
    metadata: Object = {"resourceVersion": str(page.version)}
    if page.remaining and page.last is not None and not empty:
        metadata["continue"] = _sealed(page.version, page.last)
        if not selector:
            metadata["remainingItemCount"] = page.remaining
    head = encoded({"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata})
    items = b"" if empty else b",".join(item.encoded for item in page.items)
    return head[:-1] + b',"items":[' + items + b"]}\n"


def discovery(path: str, resources: Sequence[Resource]) -> Object | None:
    """The answer to a question about the server itself; None where it has nothing of that name."""
    groups: dict[str, list[str]] = {}
    for group, _, version in (one.api_version.rpartition("/") for one in resources):
        if group and version not in groups.setdefault(group, []):
            groups[group].append(version)
    if path == "/version":
        major, minor, _ = GIT_VERSION[1:].split(".")
        return {"major": major, "minor": minor, "gitVersion": GIT_VERSION, "platform": "test"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(name, versions) for name, versions in groups.items()],
        }
    name = path.removeprefix("/apis/")
    if name in groups:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, groups[name])}
    served = [one for one in resources if one.root == path]
    return _resource_list(served) if served else None


def check(request: Request, resource: Resource) -> None:
    """Refuse an Event that a server would refuse: other kinds are taken as they come.

    Raises:
        Refused: 422, with the first field that is wrong.
    """
    if resource.kind != "Event":
        return
    event = request.body
    regarding, field = (
        ("involvedObject", "involvedObject") if resource.api_version == "v1" else ("regarding", "regarding")
    )
    if event.get(regarding, {}).get("namespace", "default") != request.namespace:
        raise _invalid(event, f"{field}.namespace: does not match event.namespace")
    if resource.api_version == "v1":
        return
    for name in ("eventTime", "reportingController", "reportingInstance", "action", "reason"):
        if not event.get(name):
            raise _invalid(event, f"{name}: Required value")
    if event.get("type") not in ("Normal", "Warning"):
        raise _invalid(event, f"type: Invalid value: {event.get('type', '')!r}")


def merged(value: object, patch: object, *, by_key: bool = False) -> object:
    """A JSON merge patch (RFC 7386) applied; ``by_key``: conditions are merged by their type, as in a strategic one."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for name, part in patch.items():
        if part is None:
            result.pop(name, None)
        elif by_key and name == "conditions":
            found = {each["type"]: each for each in (*result.get(name, ()), *part)}
            result[name] = list(found.values())
        else:
            result[name] = merged(result.get(name), part, by_key=by_key)
    return result


def _replacement(request: Request) -> Callable[[Object], Object]:
    return lambda _before: request.body


def _patch(request: Request) -> Callable[[Object], Object]:
    """Merge patch; a strategic one is the same for all that has no merge key, as conditions alone have here."""
    if request.content_type not in ("application/merge-patch+json", "application/strategic-merge-patch+json"):
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", f"{request.content_type} is not supported"
        )

    def apply(before: Object) -> Object:
        uid = request.body.get("metadata", {}).get("uid")
        if uid not in (None, before["metadata"]["uid"]):
            raise Refused(HTTPStatus.CONFLICT, "Conflict", f"the UID in the precondition is {uid}")
        # The patch alone says which version it was made for.
        metadata = {name: part for name, part in before["metadata"].items() if name != "resourceVersion"}
        result: Any = merged({**before, "metadata": metadata}, request.body, by_key="strategic" in request.content_type)
        return dict(result)

    return apply


_CHANGES: Mapping[str, Callable[[Request], Callable[[Object], Object]]] = {"update": _replacement, "patch": _patch}


def _invalid(item: Object, message: str) -> Refused:
    text = f'{item["kind"]} "{item["metadata"].get("name", "")}" is invalid: {message}'
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", text)


def _success(resource: Resource, gone: Object) -> Object:
    details = {"name": gone["metadata"]["name"], "kind": resource.plural, "uid": gone["metadata"]["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _sealed(version: int, last: Key) -> str:
    return base64.urlsafe_b64encode(encoded([version, *last])).decode()


def _opened(token: str) -> tuple[int, Key]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "BadRequest", "continue key is not valid") from None
    return version, (namespace, name)


def _group(name: str, versions: Sequence[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resource_list(served: Sequence[Resource]) -> Object:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    resources = [
        {"name": one.plural, "singularName": "", "namespaced": one.namespaced, "kind": one.kind, "verbs": verbs}
        for one in served
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": served[0].api_version,
        "resources": resources,
    }
