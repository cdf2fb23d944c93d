"""The process of a container, as Docker's Engine API tells it over its unix socket.

One request a connection, HTTP/1.0, so that the end of the connection is that of the answer.
"""

import asyncio
from pathlib import Path

import msgspec

from appliance.errors import ContainerGone, RuntimeSilent

WITHIN_S = 2.0
_MAX_BYTES = 1 << 22


class _State(msgspec.Struct, frozen=True, rename="pascal"):
    pid: int = 0


class _Container(msgspec.Struct, frozen=True, rename="pascal"):
    state: _State = _State()


class DockerRuntime:
    """The engine behind the unix socket at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def close(self) -> None:
        """Nothing is kept open."""

    async def pid(self, container: str) -> int:
        """The process of a container.

        Raises:
            ContainerGone: the engine knows no such container, or it does not run.
            RuntimeSilent: the engine does not answer, or does not say.
        """
        try:
            async with asyncio.timeout(WITHIN_S):
                status, body = await self._get(f"/containers/{container}/json")
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            reason = str(error) or f"nothing within {WITHIN_S:g} s"
            raise RuntimeSilent(f"{self._path}: Docker does not answer: {reason}") from None
        if status == 404:  # noqa: PLR2004 - HTTP, not found
            raise ContainerGone(f"Docker knows no container {container[:12]}")
        try:
            found = msgspec.json.decode(body, type=_Container)
        except msgspec.DecodeError:
            raise RuntimeSilent(f"{self._path}: Docker answers {status} to a look at {container[:12]}") from None
        if found.state.pid <= 0:
            raise ContainerGone(f"container {container[:12]} does not run")
        return found.state.pid

    async def _get(self, path: str) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode("ascii"))
            await writer.drain()
            answer = await reader.read(_MAX_BYTES)
            while more := await reader.read(_MAX_BYTES - len(answer)):
                answer += more
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        words = head.split(b" ", 2)
        return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), body
