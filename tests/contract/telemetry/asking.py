"""Clients that are not ours, and bytes that are no client's."""

import asyncio
import http.client
import socket
from collections.abc import Awaitable, Mapping
from typing import TypeVar

DEADLINE_S = 20

_Result = TypeVar("_Result")


async def in_time(work: Awaitable[_Result]) -> _Result:
    async with asyncio.timeout(DEADLINE_S):
        return await work


def got(
    port: int, path: str = "/page", *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, header fields and body, by the standard library's client. Blocks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    connection.request(method, path, headers=dict(headers or {}))
    answer = connection.getresponse()
    try:
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


async def said(port: int, request: bytes) -> bytes:
    """What comes back for these bytes until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        try:
            return await in_time(reader.read())
        except ConnectionResetError:
            return b""
    finally:
        writer.close()


def free_port(address: str = "127.0.0.1") -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
