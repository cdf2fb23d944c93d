"""A small HTTP server for scrapers and probes: GET, one answer a connection, everything bounded.

Whoever can reach the port may ask, so no client may cost more than a little time and memory: its request is short and
comes soon, its answer is taken soon, and there are few of them at once.
"""

import asyncio
import os
import socket
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, Self

from appliance.errors import ConfigError
from appliance.model.address import Address

MAX_REQUEST_BYTES = 16384
MAX_CONNECTIONS = 8
REQUEST_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0
PLAIN = "text/plain; charset=utf-8"
_GZIP_WINDOW = 31  # zlib.compressobj: 15 bits of window, and 16 for a gzip header
_GZIP_LEVEL = 1
_UNSPECIFIED = "::"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers. ``pieces`` are made while they are sent; other work goes on between two of them."""

    pieces: Iterable[str]
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = PLAIN


Route = Callable[[], Awaitable[Answer]]


class _Request(NamedTuple):
    method: str
    path: str
    is_chunked: bool
    takes_gzip: bool


class Endpoint(NamedTuple):
    """Where to listen: ``key`` is the place in the configuration that says so."""

    key: str
    address: Address
    port: int


class Listeners:
    """Listening sockets that outlive a reload: what is wanted as before stays open."""

    def __init__(self) -> None:
        self._open: dict[tuple[Address, int], socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._open.values():
            each.close()

    def take(self, wanted: Iterable[Endpoint]) -> None:
        """Listen on exactly these.

        Raises:
            ConfigError: some cannot be listened on; everything is as it was.
        """
        fresh: dict[tuple[Address, int], socket.socket] = {}
        places = set()
        try:
            for key, address, port in wanted:
                places.add((address, port))
                if (address, port) not in self._open:
                    fresh[address, port] = _listen(key, address, port)
        except ConfigError:
            for each in fresh.values():
                each.close()
            raise
        for place in self._open.keys() - places:
            self._open.pop(place).close()
        self._open |= fresh

    def socket(self, endpoint: Endpoint) -> socket.socket:
        """A copy of the socket for ``endpoint``, for its user to close."""
        return self._open[endpoint.address, endpoint.port].dup()


def _listen(key: str, address: Address, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - the IP version
    try:
        return socket.create_server((str(address), port), family=family, dualstack_ipv6=str(address) == _UNSPECIFIED)
    except OSError as error:
        place = f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
        remedy = "see who has it with ss -lntp, write another port, or an address of this machine"
        raise ConfigError((f"{key}: cannot listen on {place}: {os.strerror(error.errno or 0)} ({remedy})",)) from None


async def serve(listening: socket.socket, routes: Mapping[str, Route]) -> None:
    """Answer on ``listening``, which is closed in the end, until cancelled; a bug in a route ends it (I8)."""
    active: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as tasks:

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(active) >= MAX_CONNECTIONS:
                writer.close()
                return
            task = tasks.create_task(_converse(reader, writer, routes), name="http client")
            active.add(task)
            task.add_done_callback(active.discard)

        server = await asyncio.start_server(accept, sock=listening, limit=MAX_REQUEST_BYTES)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, routes: Mapping[str, Route]) -> None:
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            request = _parsed(await reader.readuntil(b"\r\n\r\n"))
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await _send(writer, request, await _answer(request, routes))
            writer.close()
            await writer.wait_closed()
    except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # a client that says too little or too much, is too slow or leaves, gets nothing more
    finally:
        # What a client does not take would keep a connection that is only closed.
        writer.transport.abort()


async def _answer(request: _Request | None, routes: Mapping[str, Route]) -> Answer:
    if request is None:
        return _word(HTTPStatus.BAD_REQUEST)
    if request.path not in routes:
        return _word(HTTPStatus.NOT_FOUND)
    if request.method not in {"GET", "HEAD"}:
        return _word(HTTPStatus.METHOD_NOT_ALLOWED)
    return await routes[request.path]()


def _word(status: HTTPStatus) -> Answer:
    return Answer([f"{status.phrase}\n"], status)


def _parsed(head: bytes) -> _Request | None:
    """A request (RFC 9112), or None for what is none."""
    line, *rest = head.decode("latin-1").split("\r\n")
    words = line.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, target, version
        return None
    method, target, version = words
    fields = {name.strip().lower(): value for name, _, value in (each.partition(":") for each in rest)}
    encodings = [each.replace(" ", "").lower() for each in fields.get("accept-encoding", "").split(",")]
    takes_gzip = any(each == "gzip" or (each.startswith("gzip;q=") and each[7:] > "0.000") for each in encodings)
    return _Request(method, target.partition("?")[0], version != "HTTP/1.0", takes_gzip)


async def _send(writer: asyncio.StreamWriter, request: _Request | None, answer: Answer) -> None:
    is_chunked, takes_gzip = (request.is_chunked, request.takes_gzip) if request else (False, False)
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        "Cache-Control: no-store",
        "Connection: close",
        *(["Allow: GET, HEAD"] if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else []),
        *(["Content-Encoding: gzip"] if takes_gzip else []),
        # The end of an answer that was cut off must not look like the end of a whole one.
        *(["Transfer-Encoding: chunked"] if is_chunked else []),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode("ascii"))
    if request is None or request.method != "HEAD":
        pieces = (each.encode("utf-8", "backslashreplace") for each in answer.pieces)
        for piece in _compressed(pieces) if takes_gzip else pieces:
            if piece:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            # A drain of a buffer that is not full yields to nobody.
            await asyncio.sleep(0)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if is_chunked else b"")
    await writer.drain()


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()
