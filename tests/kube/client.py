"""A thin client of an API server for tests: plain HTTP, nothing of the code under test in it."""

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from tests.kube.certificates import Pair
from tests.kube.objects import Object

TIMEOUT_S = 30.0
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: HTTP status, headers by lower-case name, and the decoded body."""

    status: int
    headers: Mapping[str, str]
    body: Any

    def expect(self, *statuses: int) -> Any:
        """The body, if the status is one of these.

        Raises:
            AssertionError: it is another one; the text holds the body.
        """
        assert self.status in statuses, f"{self.status}, not {' or '.join(map(str, statuses))}: {self.body}"
        return self.body


@dataclass(frozen=True)
class Client:
    """Speaks to one server as one user, who has a token or a certificate.

    Every request is a connection of its own, but for those of ``request_each``.
    """

    url: str
    token: str | None = None
    authority: Path | None = None
    timeout_s: float = TIMEOUT_S
    certificate: Pair | None = None
    context: ssl.SSLContext | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.url.startswith("https:"):
            context = ssl.create_default_context(cafile=self.authority)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate.certificate, self.certificate.key)
            object.__setattr__(self, "context", context)

    def request(self, method: str, path: str, body: object = None, *, content_type: str = JSON, **query: str) -> Answer:
        """Ask once. Query parameters are passed by name: ``labelSelector="app=web"``.

        Raises:
            OSError, http.client.HTTPException: the server did not answer, or not in HTTP.
        """
        with contextlib.closing(self._connect(self.timeout_s)) as connection:
            return _read(self._send(connection, method, _target(path, query), body, content_type))

    def request_each(self, method: str, bodies: Iterable[tuple[str, object]]) -> Iterator[Answer]:
        """Ask the same of many objects, each at its path, over one connection: for thousands of them."""
        with contextlib.closing(self._connect(self.timeout_s)) as connection:
            for path, body in bodies:
                yield _read(self._send(connection, method, path, body))

    def get(self, path: str, **query: str) -> Answer:
        """As ``request``."""
        return self.request("GET", path, **query)

    def list(self, path: str, **query: str) -> Object:
        """A whole list, page after page if ``limit`` is given; the metadata is the last page's."""
        items: list[Object] = []
        while True:
            page: Object = self.get(path, **query).expect(200)
            items += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return {**page, "items": items}
            query["continue"] = token

    @contextlib.contextmanager
    def watch(self, path: str, *, within_s: float = 10.0, **query: str) -> Iterator["Watch"]:
        """A watch that has been accepted; whoever waits for an event of it waits at most ``within_s`` seconds."""
        with contextlib.closing(self._connect(within_s)) as connection:
            answer = self._send(connection, "GET", _target(path, {"watch": "true", **query}))
            yield Watch(answer, within_s)

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        address = urlsplit(self.url)
        assert address.hostname is not None
        if self.context is not None:
            return http.client.HTTPSConnection(address.hostname, address.port, timeout=timeout_s, context=self.context)
        return http.client.HTTPConnection(address.hostname, address.port, timeout=timeout_s)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: object = None,
        content_type: str = JSON,
    ) -> http.client.HTTPResponse:
        headers = {"Accept": JSON}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = content_type
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        return connection.getresponse()


class Watch:
    """The events of one watch, in the order in which they come: ``{"type": "ADDED", "object": {...}}``."""

    def __init__(self, answer: http.client.HTTPResponse, within_s: float) -> None:
        self.status = answer.status
        self._answer = answer
        self._within_s = within_s

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Object:
        line = self._answer.readline()
        if not line.strip():
            raise StopIteration
        event: Object = json.loads(line)
        return event

    def take(self, count: int) -> list[tuple[str, str]]:
        """Type and name of the next events; fewer when the server ends the watch first."""
        seen = []
        for event in self:
            seen.append((event["type"], event["object"]["metadata"].get("name", "")))
            if len(seen) == count:
                break
        return seen

    def until(self, kind: str) -> Object:
        """The next event of this type, whatever comes before it.

        Raises:
            AssertionError: the watch ended, or the time did.
        """
        deadline_s = time.monotonic() + self._within_s
        for event in self:
            if event["type"] == kind:
                return event
            assert time.monotonic() < deadline_s, f"no {kind} within {self._within_s:g} s"
        raise AssertionError(f"the watch ended without {kind}")


def _read(answer: http.client.HTTPResponse) -> Answer:
    text = answer.read()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    is_json = headers.get("content-type", "").startswith(JSON)
    return Answer(answer.status, headers, json.loads(text) if is_json else text.decode())


def _target(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
