"""What is asked of an API server, and what its refusals mean. No I/O: transport.py does the talking.

Facts: "Kubernetes API Concepts" (paths, status codes, pages, watches) and the Status object of meta/v1.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from appliance.errors import SourceError

_SHOWN_CHARACTERS = 200

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON raises for a text that is none, or not of the form that is wanted."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object and where the API serves it. ``version`` is ``v1``, or ``GROUP/v1``."""

    version: str
    plural: str
    kind: str

    def path(self, namespace: str = "") -> str:
        """The path of its collection, in one namespace or in all."""
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"

    def __str__(self) -> str:
        """``services``, ``endpointslices.discovery.k8s.io``: as RBAC and kubectl name it."""
        return f"{self.plural}.{self.version.partition('/')[0]}" if "/" in self.version else self.plural


SERVICES = Resource("v1", "services", "Service")
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
ENDPOINTS = Resource("v1", "endpoints", "Endpoints")
EVENTS = Resource("v1", "events", "Event")
PODS = Resource("v1", "pods", "Pod")
NAMESPACES = Resource("v1", "namespaces", "Namespace")


class Unreachable(SourceError):
    """The API server gave no answer, or none that is understood."""


class Dropped(SourceError):
    """An answer that had begun broke off, or fell silent for too long."""


class Expired(SourceError):
    """410 Gone: the resourceVersion or the page asked for is no longer kept. List again."""


class Refused(SourceError):
    """The API server answered no, with HTTP status ``status``; ``retry_after_s`` is the patience that it asks for."""

    def __init__(self, message: str, status: int, *, hint: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after_s = retry_after_s


class Connection(Protocol):
    """A connection with the credentials of the moment at which it was made."""

    async def get(self, path: str, query: Mapping[str, str]) -> bytes:
        """The body of a good answer.

        Raises:
            Unreachable, Refused, Expired: there is none.
        """
        ...

    def watch(self, path: str, query: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The lines of a good answer as they come; entered as soon as it has begun.

        Raises:
            Unreachable, Refused, Expired: on entering, there is none.
            Dropped: while reading, it broke off.
        """
        ...


class Cluster(Protocol):
    """An API server and how to reach it. ``connect`` reads credentials anew each time."""

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """A new connection.

        Raises:
            SourceError: on entering, the credentials cannot be read.
        """
        ...


class Sender(Protocol):
    """A connection that can write."""

    async def send(self, method: str, path: str, body: Mapping[str, object], *, by_key: bool = False) -> bytes:
        """Create (POST) an object, or change one by a JSON merge patch (PATCH, RFC 7386); the body of a good answer.

        With ``by_key`` a patch is a strategic merge patch: in a list such as that of conditions it changes those items
        that it names, and leaves the others.

        Raises:
            Unreachable, Refused, Expired: there is none.
        """
        ...


class SendingCluster(Protocol):
    """As Cluster, for those who write."""

    def connect(self) -> AbstractAsyncContextManager[Sender]:
        """As in Cluster."""
        ...


class Exchange(Connection, Sender, Protocol):
    """A connection that can read and write."""


class ExchangeCluster(Protocol):
    """As Cluster, for those who read and write."""

    def connect(self) -> AbstractAsyncContextManager[Exchange]:
        """As in Cluster."""
        ...


class Status(msgspec.Struct, frozen=True):
    """A refusal as an API server words it (meta/v1 Status)."""

    code: int | None = None
    message: str | None = None


def refusal(status: int, body: bytes, *, asked: str, retry_after_s: float = 0.0) -> SourceError:
    """The error that an answer with an HTTP status outside 2xx means; ``asked`` is ``GET /api/v1/services``, say."""
    try:
        text = msgspec.json.decode(body, type=Status).message or ""
    except UNREADABLE:
        text = ""
    return refused(status, text, asked=asked, retry_after_s=retry_after_s)


def refused(status: int, text: str, *, asked: str, retry_after_s: float = 0.0) -> SourceError:
    """As refusal, with the server's message taken out of its body already."""
    short = "".join(char if char.isprintable() else " " for char in text[:_SHOWN_CHARACTERS])
    message = f"the API server answers {status} to {asked}{f': {short}' if short else ''}"
    match status:
        case 410:
            return Expired(message)
        case 401:
            hint = "it does not know who asks: renew the token or client certificate, which is read again at each try"
        case 403:
            hint = "allow the verbs list and watch on it with a ClusterRole and a binding, see docs/kubernetes.md"
        case 400:
            hint = "see label_selector and namespaces below sources.kubernetes"
        case 404:
            hint = "check the server's address in the kubeconfig: no Kubernetes API answers there"
        case _:
            hint = ""
    return Refused(message, status, hint=hint, retry_after_s=retry_after_s)
