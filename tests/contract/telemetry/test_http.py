"""The HTTP server on real sockets of loopback: what clients get, and that no client is a burden."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

import pytest

from appliance.errors import ConfigError
from appliance.telemetry import http as server
from appliance.telemetry.http import Answer, Endpoint, Listeners, Route, serve
from tests.contract.telemetry.asking import free_port, got, in_time, said
from tests.unit.director.harness import until

LOOPBACK = Endpoint("telemetry.metrics_port", ip_address("127.0.0.1"), 0)


def pages(*pieces: str) -> dict[str, Route]:
    async def page() -> Answer:
        return Answer(iter(pieces))

    return {"/page": page}


@asynccontextmanager
async def served(routes: Mapping[str, Route], endpoint: Endpoint = LOOPBACK) -> AsyncIterator[int]:
    """A server while the block runs; gives its port."""
    with Listeners() as listeners:
        listeners.take([endpoint])
        listening = listeners.socket(endpoint)
        port: int = listening.getsockname()[1]
        task = asyncio.create_task(serve(listening, routes))
        try:
            yield port
            if task.done():
                task.result()
        finally:
            task.cancel()
            await in_time(asyncio.wait([task]))


Run = Callable[[Mapping[str, Route], Callable[[int], Awaitable[None]]], None]


@pytest.fixture
def run() -> Run:
    """Runs a story against a server."""

    def play(routes: Mapping[str, Route], story: Callable[[int], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with served(routes) as port:
                await in_time(story(port))

        asyncio.run(whole())

    return play


def test_a_page_comes_whole_and_in_chunks(run: Run) -> None:
    async def story(port: int) -> None:
        status, headers, body = await asyncio.to_thread(got, port)
        assert (status, body) == (HTTPStatus.OK, "onetwo\u00e9".encode())
        assert headers["Transfer-Encoding"] == "chunked"
        assert headers["Content-Type"] == "text/plain; charset=utf-8"

    run(pages("one", "", "two\u00e9"), story)


def test_whoever_takes_gzip_gets_it(run: Run) -> None:
    async def story(port: int) -> None:
        fields = {"Accept-Encoding": "deflate, gzip;q=0.5"}
        _, headers, body = await asyncio.to_thread(lambda: got(port, headers=fields))
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(body) == b"abc" * 1000
        assert len(body) < 100

    run(pages(*["abc"] * 1000), story)


@pytest.mark.parametrize("encodings", ["identity", "gzip;q=0", "x-gzip", "br"])
def test_whoever_takes_no_gzip_gets_none(encodings: str, run: Run) -> None:
    async def story(port: int) -> None:
        _, headers, body = await asyncio.to_thread(lambda: got(port, headers={"Accept-Encoding": encodings}))
        assert "Content-Encoding" not in headers
        assert body == b"text"

    run(pages("text"), story)


def test_an_old_client_gets_no_chunks(run: Run) -> None:
    async def story(port: int) -> None:
        head, _, body = (await said(port, b"GET /page HTTP/1.0\r\n\r\n")).partition(b"\r\n\r\n")
        assert b"chunked" not in head
        assert body == b"onetwo"

    run(pages("one", "two"), story)


def test_a_query_is_no_part_of_the_path(run: Run) -> None:
    async def story(port: int) -> None:
        assert (await asyncio.to_thread(got, port, "/page?name=x"))[0] == HTTPStatus.OK

    run(pages("text"), story)


def test_head_gets_the_head_alone(run: Run) -> None:
    async def story(port: int) -> None:
        answer = await said(port, b"HEAD /page HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n")

    run(pages("text"), story)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        pytest.param(b"GET /other HTTP/1.1", b"404 Not Found", id="no such page"),
        pytest.param(b"POST /page HTTP/1.1", b"405 Method Not Allowed", id="nothing is taken"),
        pytest.param(b"GET /page", b"400 Bad Request", id="no version"),
        pytest.param(b"\x16\x03\x01\x02", b"400 Bad Request", id="TLS"),
        pytest.param(b"GET /page HTTP/2.0", b"400 Bad Request", id="another protocol"),
    ],
)
def test_what_cannot_be_answered_is_refused(request_line: bytes, status: bytes, run: Run) -> None:
    async def story(port: int) -> None:
        answer = await said(port, request_line + b"\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")

    run(pages("text"), story)


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET /page HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", id="too long a head"),
        pytest.param(b"GET /page HTTP/1.1\r\n", id="no end"),
        pytest.param(b"", id="nothing at all"),
    ],
)
def test_a_client_that_does_not_ask_gets_nothing_and_is_let_go(
    request_bytes: bytes, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_TIMEOUT_S", 0.05)

    async def story(port: int) -> None:
        assert await said(port, request_bytes) == b""
        assert (await asyncio.to_thread(got, port))[0] == HTTPStatus.OK, "and others are answered"

    run(pages("text"), story)


def test_a_client_that_does_not_read_is_let_go_and_others_are_answered(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ANSWER_TIMEOUT_S", 0.2)
    made: list[int] = []
    given_up: list[bool] = []

    def endless() -> Iterator[str]:
        try:
            while True:
                made.append(1)
                yield "x" * 60_000
        finally:
            given_up.append(True)

    async def flood() -> Answer:
        return Answer(endless())

    async def story(port: int) -> None:
        before = descriptors()
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(b"GET /flood HTTP/1.0\r\n\r\n")
        assert (await asyncio.to_thread(got, port))[0] == HTTPStatus.OK
        await until(lambda: given_up)
        assert len(made) < 1000, "no more was made than fits on the way"
        await until(lambda: descriptors() == before + 1)
        writer.close()

    run({"/flood": flood, **pages("text")}, story)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_more_clients_than_there_is_room_for_are_turned_away(run: Run) -> None:
    async def story(port: int) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(server.MAX_CONNECTIONS)]
        assert await said(port, b"GET /page HTTP/1.1\r\n\r\n") == b""
        for _, writer in silent:
            writer.close()
        while not await said(port, b"GET /page HTTP/1.1\r\n\r\n"):  # noqa: ASYNC110 - it asks, it does not wait
            await asyncio.sleep(0)

    run(pages("text"), story)


def test_other_work_goes_on_between_two_pieces(run: Run) -> None:
    turns: list[int] = []

    def pieces() -> Iterator[str]:
        for _ in range(100):
            turns.append(0)
            yield "x" * 10

    async def page() -> Answer:
        return Answer(pieces())

    async def story(port: int) -> None:
        asking = asyncio.create_task(said(port, b"GET /page HTTP/1.1\r\n\r\n"))
        seen = set()
        while not asking.done():
            seen.add(len(turns))
            await asyncio.sleep(0)
        assert len(seen) > 50

    run({"/page": page}, story)


def test_a_bug_in_a_route_ends_the_server() -> None:
    """I8: whoever runs it learns of it."""

    async def broken() -> Answer:
        raise ZeroDivisionError

    async def story() -> None:
        with Listeners() as listeners:
            listeners.take([LOOPBACK])
            listening = listeners.socket(LOOPBACK)
            port = listening.getsockname()[1]
            task = asyncio.create_task(serve(listening, {"/page": broken}))
            await said(port, b"GET /page HTTP/1.1\r\n\r\n")
            with pytest.raises(BaseExceptionGroup) as caught:
                await in_time(task)
            assert caught.value.split(ZeroDivisionError)[0]

    asyncio.run(story())


def test_a_port_in_use_is_told_with_its_place_and_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, Listeners() as listeners:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            listeners.take([Endpoint("telemetry.health_port", ip_address("127.0.0.1"), port)])
    assert str(caught.value) == (
        f"telemetry.health_port: cannot listen on 127.0.0.1:{port}: Address already in use"
        " (see who has it with ss -lntp, write another port, or an address of this machine)"
    )


def test_an_address_of_another_machine_is_told_in_the_same_way() -> None:
    with Listeners() as listeners, pytest.raises(ConfigError, match=r"cannot listen on \[2001:db8::9\]:8123: "):
        listeners.take([Endpoint("telemetry.metrics_port", ip_address("2001:db8::9"), 8123)])


def test_a_take_that_fails_leaves_everything_as_it_was() -> None:
    kept = Endpoint("a", ip_address("127.0.0.1"), free_port())
    fresh = Endpoint("b", ip_address("127.0.0.1"), free_port())
    with socket.create_server(("127.0.0.1", 0)) as other, Listeners() as listeners:
        listeners.take([kept])
        taken = Endpoint("c", ip_address("127.0.0.1"), other.getsockname()[1])
        with pytest.raises(ConfigError):
            listeners.take([fresh, taken])
        socket.create_connection(("127.0.0.1", kept.port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", fresh.port))


def test_a_reload_keeps_what_is_wanted_as_before_and_closes_the_rest() -> None:
    one, two = (Endpoint("a", ip_address("127.0.0.1"), free_port()) for _ in range(2))
    with Listeners() as listeners:
        listeners.take([one])
        listeners.take([one, two])
        listeners.take([two])
        socket.create_connection(("127.0.0.1", two.port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", one.port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", two.port))
