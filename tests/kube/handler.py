"""One connection to the double: a request is understood, authenticated, and answered or met by a fault."""

import contextlib
import json
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from tests.kube.answers import answer, discovery, encoded, list_body, selector_of
from tests.kube.faults import Drops, Empties, Expires, Fails, Fault, Garbles, Rule, Truncates
from tests.kube.objects import Object, Resource
from tests.kube.outlet import Cut, Line, Outlet
from tests.kube.request import Request, understand
from tests.kube.selectors import Selector, Term
from tests.kube.store import Refused, Store, expired

JSON = {"Content-Type": "application/json"}
PUBLIC = ("/version", "/healthz", "/livez", "/readyz")
"""What a server tells anybody who does not show a wrong token."""
DESERTED_S = 0.2
"""How often a watch with nothing to say looks whether its client is still there."""
BEFORE_END_S = 2.0
"""How long before its time is over a watch gets its last bookmark (apiserver/pkg/storage/cacher)."""
TOLD_TO_EXPIRE = expired("the double was told to expire")
REASONS = {
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.FORBIDDEN: "Forbidden",
    HTTPStatus.NOT_FOUND: "NotFound",
    HTTPStatus.CONFLICT: "Conflict",
    HTTPStatus.GONE: "Expired",
    HTTPStatus.TOO_MANY_REQUESTS: "TooManyRequests",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalError",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
}


@dataclass
class State:
    """What the connections share with whoever runs the double."""

    tokens: dict[str, str]
    resources: tuple[Resource, ...]
    bookmark_interval_s: float
    store: Store = field(default_factory=Store)
    requests: list[Request] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    orders: list[Fault] = field(default_factory=list)
    speaking: threading.Event = field(default_factory=threading.Event)
    lines: set[Line] = field(default_factory=set)
    lines_changed: threading.Condition = field(default_factory=threading.Condition)

    def meet(self, request: Request) -> Fault | None:
        """Note a request; the fault that it meets, if any."""
        with self.lines_changed:
            self.requests.append(request)
            return next((rule.fault for rule in self.rules if rule.meets(request)), None)

    def note(self, line: Line, *, stands: bool) -> None:
        """Note that a connection stands, or does not any more."""
        with self.lines_changed:
            (self.lines.add if stands else self.lines.discard)(line)
            self.lines_changed.notify_all()


class Handler(BaseHTTPRequestHandler):
    """One connection. A class of its own with ``state`` set serves one double."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State

    def setup(self) -> None:
        """As in the base class."""
        super().setup()
        self.line = Line(self.connection, self.state.speaking)
        self.state.note(self.line, stands=True)

    def handle(self) -> None:
        """Answer request after request, until one of us has enough."""
        with contextlib.suppress(OSError):
            super().handle()

    def finish(self) -> None:
        """As in the base class."""
        self.state.note(self.line, stands=False)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: ``State.requests`` has it all."""

    def serve(self) -> None:
        """Answer one request."""
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        content_type = self.headers.get("Content-Type", "").partition(";")[0]
        request = understand(self.command, self.path, body, content_type, self.state.resources)
        self.line.wait_to_speak()
        fault = self.state.meet(request)
        outlet = Outlet(self, self.line, fault)
        try:
            self._authenticate(request)
            self._answer(request, fault, outlet)
        except Refused as refused:
            self._send(outlet, refused.code, encoded(refused.status()), _retry_after(fault))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 - the base class's names

    def _authenticate(self, request: Request) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer" and token in self.state.tokens.values():
            return
        if token:
            raise Refused(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")
        if request.path not in PUBLIC:
            raise Refused(HTTPStatus.FORBIDDEN, "Forbidden", 'User "system:anonymous" cannot do that')

    def _answer(self, request: Request, fault: Fault | None, outlet: Outlet) -> None:
        if isinstance(fault, Fails):
            code = HTTPStatus(fault.code)
            raise Refused(code, REASONS.get(code, code.phrase), "the double was told to fail")
        if isinstance(fault, Garbles):
            self._send(outlet, HTTPStatus.OK, fault.body, {})
        elif request.resource is None:
            self._discover(request, outlet)
        elif request.verb == "watch":
            self._watch(request, request.resource, outlet, fault)
        elif request.verb == "list" and isinstance(fault, Empties):
            body = list_body(self.state.store, request, request.resource, empty=True)
            self._send(outlet, HTTPStatus.OK, body, {})
        else:
            status, body = answer(self.state.store, request, request.resource)
            self._send(outlet, status, body, {})

    def _discover(self, request: Request, outlet: Outlet) -> None:
        found = discovery(request.path, self.state.resources)
        if found is not None:
            self._send(outlet, HTTPStatus.OK, encoded(found), {})
        elif request.path in PUBLIC:
            self._send(outlet, HTTPStatus.OK, b"ok", {"Content-Type": "text/plain"})
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "NotFound", "the server could not find the requested resource")

    def _watch(self, request: Request, resource: Resource, outlet: Outlet, fault: Fault | None) -> None:
        watch = Watch(self.state, request, resource, self.line)
        outlet.begin(HTTPStatus.OK, JSON)
        try:
            if isinstance(fault, Expires):
                raise TOLD_TO_EXPIRE
            for part in watch.lines():
                outlet.write(part)
        except Refused as refused:
            outlet.write(_line("ERROR", refused.status()))
            watch.linger()
        outlet.end()

    def _send(self, outlet: Outlet, status: HTTPStatus, body: bytes, headers: dict[str, str]) -> None:
        outlet.begin(status, {**JSON, **headers})
        outlet.write(body)
        outlet.end()


class Watch:
    """One watch: what it says, line by line."""

    def __init__(self, state: State, request: Request, resource: Resource, line: Line) -> None:
        self._state = state
        self._request = request
        self._resource = resource
        self._line = line
        self._selector = _within(selector_of(request), request.namespace)
        self._orders = len(state.orders)
        timeout_s = float(request.query.get("timeoutSeconds") or math.inf)
        self._deadline_s = time.monotonic() + timeout_s
        self._wants_bookmarks = request.query.get("allowWatchBookmarks") in ("1", "true", "True")
        self._bookmark_s = self._next_bookmark()

    def lines(self) -> Iterator[bytes]:
        """Its events as JSON lines, until its time is over.

        Raises:
            Refused: it wants what has been forgotten.
            Cut: the connection is over.
        """
        version, first = self._begin()
        yield from first
        while time.monotonic() < self._deadline_s:
            self._state.store.wait(version, self._is_disturbed, self._next_look())
            self._line.check()
            yield from self._obey()
            with self._state.store.changed:
                changes = self._state.store.changes_since(self._resource, version)
                version = max(version, self._state.store.version)
            for change in changes:
                event = change.event(self._selector)
                if event is not None:
                    yield _line(*event)
            if time.monotonic() >= self._bookmark_s:
                self._bookmark_s = self._next_bookmark()
                yield _line("BOOKMARK", _bookmark(self._resource, version))
            if self._line.is_deserted():
                raise Cut

    def linger(self) -> None:
        """Say nothing more until its time is over: after an ERROR a real server may leave it to the client to go.

        Raises:
            Cut: the connection is over.
        """
        while (left_s := self._deadline_s - time.monotonic()) > 0:
            self._line.cut.wait(min(left_s, DESERTED_S))
            self._line.check()
            if self._line.is_deserted():
                raise Cut

    def _begin(self) -> tuple[int, list[bytes]]:
        """Where it starts, and what it says first: without a version it begins with all that there is."""
        since = self._request.query.get("resourceVersion", "")
        if since not in ("", "0"):
            return int(since), []
        page = self._state.store.page(self._resource, None, self._selector, 0, None)
        return page.version, [_line("ADDED", item.value) for item in page.items]

    def _is_disturbed(self) -> bool:
        return self._line.cut.is_set() or len(self._state.orders) > self._orders

    def _obey(self) -> Iterator[bytes]:
        """What an order to the standing watches makes of this one."""
        for order in self._state.orders[self._orders :]:
            self._orders += 1
            if isinstance(order, Expires):
                raise TOLD_TO_EXPIRE
            if isinstance(order, Drops):
                self._line.reset()
                raise Cut
            if isinstance(order, Garbles):
                yield order.body + b"\n"
            if isinstance(order, Truncates):
                yield _line("MODIFIED", _bookmark(self._resource, self._state.store.version))[: order.after_bytes]
                self._deadline_s = 0.0

    def _next_look(self) -> float:
        return min(time.monotonic() + DESERTED_S, self._bookmark_s, self._deadline_s)

    def _next_bookmark(self) -> float:
        if not self._wants_bookmarks:
            return math.inf
        now_s = time.monotonic()
        last_s = self._deadline_s - BEFORE_END_S
        soon_s = now_s + self._state.bookmark_interval_s
        return min(soon_s, last_s) if last_s > now_s else soon_s


def _retry_after(fault: Fault | None) -> dict[str, str]:
    if isinstance(fault, Fails) and fault.retry_after_s is not None:
        return {"Retry-After": str(fault.retry_after_s)}
    return {}


def _within(selector: Selector, namespace: str | None) -> Selector:
    if namespace is None:
        return selector
    return replace(selector, fields=(*selector.fields, Term("metadata.namespace", (namespace,), wanted=True)))


def _bookmark(resource: Resource, version: int) -> Object:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}


def _line(kind: str, item: Object) -> bytes:
    return encoded({"type": kind, "object": item}) + b"\n"
