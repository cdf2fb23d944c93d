"""HTTP to an API server by the Kubernetes client: its configuration and authentication, none of its object classes.

Importing this module loads that client, which takes half a second and 45 MB: do it only where a cluster is followed.
Why its asyncio half, and why a client for each connection: docs/decisions/0007-kubernetes-transport.md.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from appliance.errors import SourceError
from appliance.sources.kubernetes.api import Dropped, Unreachable, refusal

CONNECT_S = 10.0
ANSWER_S = 25.0
"""Seconds for one whole answer, and for the beginning of a watch; the API server itself allows a request 60.

A server that is half dead is to be told of within 30 s (docs/faults.md, row 9).
"""

MAX_LINE_BYTES = 16 * 1024 * 1024
"""etcd takes no object above 1.5 MiB (--max-request-bytes), so a longer line is no event."""

_GOOD = frozenset({200, 201})
# A dead peer is noticed after 15 + 3 * 5 seconds, where the kernel would first ask after two hours (tcp(7)).
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))


class KubernetesCluster:
    """The cluster of a kubeconfig file, or (None) the one in which this process runs as a pod.

    ``scratch`` is a private directory: the client writes keys that stand in the kubeconfig to files there, for the TLS
    library takes them from nowhere else. In /tmp somebody's tidying would take them away.
    """

    def __init__(self, kubeconfig: Path | None, context: str | None, scratch: Path) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._scratch = scratch

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["HttpConnection"]:
        """A connection with credentials that are read now: files, exec plugins and the certificates they name.

        Raises:
            SourceError: they cannot be read.
        """
        client = await self._client()
        try:
            yield HttpConnection(client)
        finally:
            await client.close()  # type: ignore[no-untyped-call]  # the client has no types here

    async def _client(self) -> ApiClient:
        place = str(self._kubeconfig or "the service account of this pod")
        configuration = Configuration()
        # From Python 3.13 on strict X.509 is the default, which refuses the CAs of many clusters for the lack of an
        # Authority Key Identifier (RFC 5280, 4.2.1.1). Kubernetes' own clients do not ask for one.
        configuration.disable_strict_ssl_verification = True
        try:
            if self._kubeconfig is None:
                load_incluster_config(  # type: ignore[no-untyped-call]  # as above
                    client_configuration=configuration, try_refresh_token=False
                )
            else:
                # The client takes a file that is missing for an empty one.
                self._kubeconfig.open("rb").close()
                self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
                async with asyncio.timeout(ANSWER_S):
                    await load_kube_config(  # type: ignore[no-untyped-call]  # as above
                        config_file=str(self._kubeconfig),
                        context=self._context,
                        client_configuration=configuration,
                        persist_config=False,
                        temp_file_path=str(self._scratch),
                    )
            _clean_token(configuration)
            return ApiClient(configuration)
        except (ConfigException, yaml.YAMLError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
            # The client reads the file without a schema: what is wrong in it comes out as any of these.
            reason = (isinstance(error, OSError) and error.strerror) or _in_words(error)
            hint = "write a kubeconfig that kubectl --kubeconfig accepts, readable by the director"
            raise SourceError(f"{place}: cannot be used to reach the API server: {reason}", hint=hint) from None


def _clean_token(configuration: Configuration) -> None:
    """Take the line end off a token that was read from a file, as kubectl does; nothing else may stand in a header.

    Raises:
        ValueError: something else does.
    """
    token = configuration.api_key.get("BearerToken", "").strip()
    if not (token.isascii() and token.isprintable()):
        raise ValueError("the token holds a character that no token has")
    if token:
        configuration.api_key["BearerToken"] = token


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked; a body is JSON. ``verb`` is RBAC's word for it, ``by_key`` as in Sender."""

    verb: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    by_key: bool = False


class HttpConnection:
    """Requests by one client."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def get(self, path: str, query: Mapping[str, str]) -> bytes:
        """As in Connection."""
        try:
            async with asyncio.timeout(ANSWER_S), self._answer(_Request("list", "GET", path, query)) as response:
                return await self._body(response)
        except TimeoutError as error:
            raise self._unreachable(error) from None

    async def send(self, method: str, path: str, body: Mapping[str, object], *, by_key: bool = False) -> bytes:
        """As in Sender."""
        verb = "create" if method == "POST" else "patch"
        async with self._answer(_Request(verb, method, path, body=body, by_key=by_key)) as response:
            return await self._body(response)

    @asynccontextmanager
    async def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """As in Connection."""
        request = _Request("watch", "GET", path, query)
        async with self._answer(request) as response, aclosing(_lines(response)) as lines:
            _keep_alive(response)
            yield lines

    @asynccontextmanager
    async def _answer(self, request: _Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer that has begun."""
        response = await self._ask(request)
        transport = response.connection.transport if response.connection is not None else None
        try:
            if response.status not in _GOOD:
                asked = f"{request.verb} {request.path}"
                wait = response.headers.get("Retry-After", "")
                # The other form, a date, is used by no API server.
                wait_s = float(wait) if wait.isascii() and wait.isdigit() else 0.0
                raise refusal(response.status, await self._body(response), asked=asked, retry_after_s=wait_s)
            yield response
        finally:
            if transport is not None and not response.content.at_eof():
                # A proper end of TLS would wait for the peer's, which a half-open connection never sends.
                transport.abort()
            response.close()

    async def _ask(self, request: _Request) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json"}
        if request.body is not None:
            patch = "strategic-merge-patch+json" if request.by_key else "merge-patch+json"
            kind = patch if request.method == "PATCH" else "json"
            headers["Content-Type"] = f"application/{kind}"
        serialized = await self._client.param_serialize(
            request.method,
            request.path,
            query_params=list(request.query.items()),
            header_params=headers,
            body=request.body,
            auth_settings=["BearerToken"],
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._client.call_api(*serialized, _request_timeout=timeout)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from None
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> Unreachable:
        host = self._client.configuration.host
        return Unreachable(f"the API server at {host} gives no answer: {_in_words(error)}")


def _in_words(error: Exception) -> str:
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    transport = response.connection.transport if response.connection is not None else None
    carrier: Any = transport.get_extra_info("socket") if transport is not None else None
    if carrier is not None:
        carrier.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            carrier.setsockopt(socket.IPPROTO_TCP, option, value)


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """The lines of a body as they come.

    Raises:
        Dropped: it broke off, or a line has no end.
    """
    rest = bytearray()
    try:
        async for chunk in response.content.iter_any():
            start = len(rest)
            rest += chunk
            end = rest.rfind(b"\n", start)
            if end >= 0:
                for line in bytes(rest[:end]).split(b"\n"):
                    if line:
                        yield line
                del rest[: end + 1]
            if len(rest) > MAX_LINE_BYTES:
                raise Dropped(f"the watch sent a line above {MAX_LINE_BYTES} bytes")
    except (aiohttp.ClientError, OSError) as error:
        raise Dropped(f"the watch broke off: {error}") from None
    if rest:
        raise Dropped("the watch broke off in the middle of a line")
