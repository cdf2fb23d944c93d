"""The director's control socket: one JSON object a line each way, answered only to those who may ask.

Request ``{"verb": "status"}``, answer ``{"ok": true, "result": ...}`` or ``{"ok": false, "error": "..."}``. Who asks is
known from the kernel (SO_PEERCRED, unix(7)), never from what is said.
"""

import asyncio
import grp
import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from appliance.errors import ConfigError

MAX_REQUEST_BYTES = 4096
REQUEST_TIMEOUT_S = 5.0
_CREDENTIALS = struct.Struct("iII")

Verb = Callable[[], object]


class _Request(msgspec.Struct, frozen=True):
    verb: str


class ControlSocket:
    """Serves ``verbs`` on a unix socket at ``path``.

    Root and the director's own user may ask; so may members of ``group`` when one is configured.
    """

    def __init__(self, path: Path, verbs: Mapping[str, Verb], group: str | None = None) -> None:
        self._path = path
        self._verbs = verbs
        self._gid = _group_id(group)

    async def serve(self) -> None:
        """Listen until cancelled, then remove the socket. A stale socket of a director that died is replaced."""
        server = await asyncio.start_unix_server(self._answer, sock=self._bound(), limit=MAX_REQUEST_BYTES)
        try:
            await asyncio.Event().wait()
        finally:
            # No wait for it to be closed: since Python 3.12 that would wait for silent clients.
            server.close()
            self._path.unlink(missing_ok=True)

    def _bound(self) -> socket.socket:
        """The socket in its place, with its permissions, before anybody can be heard on it."""
        self._path.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX)
        # The mask is the whole process's: nothing may be awaited before it is back.
        mask = os.umask(0o177)
        try:
            bound.bind(str(self._path))
        finally:
            os.umask(mask)
        if self._gid is not None:
            os.chown(self._path, -1, self._gid)
            self._path.chmod(0o660)
        return bound

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                line = await reader.readline()
                writer.write(self._reply(line, writer.get_extra_info("socket")) + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, ConnectionError):
            # A client that says nothing, too much, or leaves, gets nothing; one that does not read keeps nothing open.
            writer.transport.abort()
        finally:
            writer.close()

    def _reply(self, line: bytes, connection: socket.socket) -> bytes:
        if not self._may_ask(connection):
            return _refusal("not allowed: ask as root, or as a member of director.control_group")
        try:
            answer = self._verbs[msgspec.json.decode(line, type=_Request).verb]
        except (msgspec.DecodeError, KeyError):
            return _refusal(f"unknown request (verbs: {', '.join(sorted(self._verbs))})")
        return msgspec.json.encode({"ok": True, "result": answer()})

    def _may_ask(self, connection: socket.socket) -> bool:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(raw)
        if uid in (0, os.geteuid()):
            return True
        return self._gid is not None and (gid == self._gid or self._gid in _supplementary_groups(pid))


def _refusal(reason: str) -> bytes:
    return msgspec.json.encode({"ok": False, "error": reason})


def _supplementary_groups(pid: int) -> frozenset[int]:
    """The groups of a process (proc(5), the Groups line); none when it is gone already."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return frozenset()
    groups = next((line for line in text.splitlines() if line.startswith("Groups:")), "Groups:")
    return frozenset(map(int, groups.split()[1:]))


def _group_id(group: str | None) -> int | None:
    if group is None:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError((f"director.control_group: no group {group} on this machine (groupadd {group})",)) from None
