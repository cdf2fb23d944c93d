"""The director's control socket: one JSON object a line each way, answered only to those who may ask.

Request ``{"verb": "drain", "arguments": {"vip": "10.50.0.1"}}``, answer ``{"ok": true, "result": ...}`` or ``{"ok":
false, "error": "..."}``. Who asks is known from the kernel (SO_PEERCRED, unix(7)), never from what is said.
"""

import asyncio
import grp
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from appliance.errors import ApplianceError, ConfigError

MAX_REQUEST_BYTES = 4096
REQUEST_TIMEOUT_S = 5.0
_CREDENTIALS = struct.Struct("iII")

# loginuid of a process that nobody logged in for (audit, proc(5)).
_NOBODY_LOGGED_IN = 0xFFFFFFFF

_Arguments = TypeVar("_Arguments", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a verb that takes none."""


@dataclass(frozen=True, slots=True)
class Verb(Generic[_Arguments]):
    """What is done for a request: ``answer`` gets the arguments, as ``takes`` has them, and the name of who asks."""

    answer: Callable[[_Arguments, str], Awaitable[object]]
    takes: type[_Arguments]


def question(answer: Callable[[], object]) -> Verb[Nothing]:
    """A verb that only tells something."""

    async def told(_arguments: Nothing, _who: str) -> object:
        return answer()

    return Verb(told, Nothing)


class _Request(msgspec.Struct, frozen=True):
    verb: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class ControlSocket:
    """Serves ``verbs`` on a unix socket at ``path``.

    Root and the director's own user may ask; so may members of ``group`` when one is configured.
    """

    def __init__(self, path: Path, verbs: Mapping[str, Verb[Any]], group: str | None = None) -> None:
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
            # Under systemd the unit runs with that group, and the call is forbidden.
            if self._path.stat().st_gid != self._gid:
                os.chown(self._path, -1, self._gid)
            self._path.chmod(0o660)
        return bound

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                line = await reader.readline()
                writer.write(await self._reply(line, writer.get_extra_info("socket")) + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, ConnectionError):
            # A client that says nothing, too much, or leaves, gets nothing; one that does not read keeps nothing open.
            writer.transport.abort()
        finally:
            writer.close()

    async def _reply(self, line: bytes, connection: socket.socket) -> bytes:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(raw)
        if not self._may_ask(pid, uid, gid):
            return _refusal("not allowed: ask as root, or as a member of director.control_group")
        try:
            request = msgspec.json.decode(line, type=_Request)
            verb = self._verbs[request.verb]
        except (msgspec.DecodeError, KeyError):
            return _refusal(f"unknown request (verbs: {', '.join(sorted(self._verbs))})")
        try:
            arguments = msgspec.json.decode(request.arguments, type=verb.takes)
            result = await verb.answer(arguments, _name(pid, uid))
        except (msgspec.DecodeError, ApplianceError) as error:
            return _refusal(str(error))
        return msgspec.json.encode({"ok": True, "result": result})

    def _may_ask(self, pid: int, uid: int, gid: int) -> bool:
        if uid in (0, os.geteuid()):
            return True
        return self._gid is not None and (gid == self._gid or self._gid in _supplementary_groups(pid))


def _refusal(reason: str) -> bytes:
    return msgspec.json.encode({"ok": False, "error": reason})


def _name(pid: int, uid: int) -> str:
    """Who runs the process, and who logged in for it where that is somebody else (sudo): ``alice as root``."""
    try:
        login = int(Path(f"/proc/{pid}/loginuid").read_text())
    except (OSError, ValueError):
        login = _NOBODY_LOGGED_IN
    name = _user(uid)
    return name if login in (_NOBODY_LOGGED_IN, uid) else f"{_user(login)} as {name}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


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
