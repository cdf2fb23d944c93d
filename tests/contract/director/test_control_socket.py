"""The control socket on this machine's kernel: who may ask, what is answered, and what a bad client can do: nothing.

Run as root, since clients of other users are children of this process that gave up their rights.
"""

import asyncio
import grp
import json
import os
import pwd
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.cli import client
from appliance.cli.client import ask
from appliance.director import control
from appliance.director.control import MAX_REQUEST_BYTES, ControlSocket, Verb, question
from appliance.director.operator import DrainOrder
from appliance.errors import ConfigError, ControlError

DEADLINE_S = 20
STATUS = {"node": "lb1", "degraded": False}
GROUP = grp.getgrgid(1).gr_name
NOBODY = pwd.getpwnam("nobody")
REFUSED = "not allowed: ask as root, or as a member of director.control_group"


async def in_time(work: Awaitable[Any]) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        return await work


@asynccontextmanager
async def served(path: Path, group: str | None = None) -> AsyncIterator[None]:
    """A control socket that listens while the block runs."""
    verbs: dict[str, Verb[Any]] = {"status": question(lambda: STATUS), "drain": Verb(_drained, DrainOrder)}
    task = asyncio.create_task(ControlSocket(path, verbs, group).serve())
    while not await _answers(path):
        assert not task.done(), task.result()
    try:
        yield
    finally:
        task.cancel()
        await in_time(asyncio.wait([task]))


async def _drained(order: DrainOrder, who: str) -> object:
    if order.vip == "never":
        raise ControlError("never is no address", hint="write one")
    return {"vip": order.vip, "who": who}


async def _answers(path: Path) -> bool:
    try:
        return bool(await said(path, b"\n"))
    except (FileNotFoundError, ConnectionRefusedError):
        await asyncio.sleep(0)
        return False


async def said(path: Path, request: bytes) -> bytes:
    """What the director answers to these bytes until it hangs up."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    try:
        return bytes(await in_time(reader.read()))
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def said_to(path: Path, uid: int, gid: int, groups: Sequence[int] = ()) -> object:
    """What a process of this user and these groups hears when it asks for the status."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(there, _ask_as(path, uid, gid, groups))
        finally:
            os._exit(0)
    os.close(there)
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(here, heard.set)
    try:
        await in_time(heard.wait())
        return json.loads(os.read(here, 4096))
    finally:
        loop.remove_reader(here)
        os.close(here)
        _reap(child)


def _reap(child: int) -> None:
    os.waitpid(child, 0)


def _ask_as(path: Path, uid: int, gid: int, groups: Sequence[int]) -> bytes:
    os.setgroups(groups)
    os.setgid(gid)
    os.setuid(uid)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(DEADLINE_S)
        try:
            connection.connect(str(path))
        except PermissionError:
            return b'"no way in"'
        connection.sendall(b'{"verb": "status"}\n')
        return connection.recv(4096)


def test_the_status_is_answered(folder: Path) -> None:
    async def story() -> None:
        async with served(folder / "control.sock"):
            assert await asyncio.to_thread(ask, folder / "control.sock", "status") == STATUS

    asyncio.run(story())


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b'{"verb": "reboot"}\n', id="an unknown verb"),
        pytest.param(b'{"verb": ["status"]}\n', id="a verb that is a list"),
        pytest.param(b'{"verb": {"status": 1}}\n', id="a verb that is an object"),
        pytest.param(b'{"word": "status"}\n', id="no verb"),
        pytest.param(b'"status"\n', id="no object"),
        pytest.param(b"7\n", id="a number"),
        pytest.param(b"\n", id="an empty line"),
        pytest.param(b"status\n", id="no JSON"),
        pytest.param(b"\xff\xfe\x00\n", id="no text"),
        pytest.param(b"[" * 4000 + b"\n", id="deep nesting"),
    ],
)
def test_what_is_no_request_is_refused_with_the_verbs_there_are(request_: bytes, folder: Path) -> None:
    """And the next client is answered as ever."""

    async def story() -> None:
        async with served(folder / "control.sock"):
            answer = json.loads(await said(folder / "control.sock", request_))
            assert answer == {"ok": False, "error": "unknown request (verbs: drain, status)"}
            assert json.loads(await said(folder / "control.sock", b'{"verb": "status"}\n'))["ok"]

    asyncio.run(story())


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"x" * (MAX_REQUEST_BYTES + 1) + b"\n", id="a line that is too long"),
        pytest.param(b"x" * 1_000_000, id="a megabyte without an end"),
    ],
)
def test_an_oversized_line_gets_no_answer(request_: bytes, folder: Path) -> None:
    async def story() -> None:
        async with served(folder / "control.sock"):
            assert await said(folder / "control.sock", request_) == b""
            assert json.loads(await said(folder / "control.sock", b'{"verb": "status"}\n'))["ok"]

    asyncio.run(story())


def test_a_silent_client_is_dropped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sooner here than the five seconds that an operator's hands may take; others are answered meanwhile."""
    monkeypatch.setattr(control, "REQUEST_TIMEOUT_S", 0.2)

    async def story() -> None:
        path = folder / "control.sock"
        async with served(path):
            reader, writer = await asyncio.open_unix_connection(path)
            assert json.loads(await said(path, b'{"verb": "status"}\n'))["ok"]
            assert await in_time(reader.read()) == b""
            writer.close()

    asyncio.run(story())


def test_a_client_that_does_not_listen_does_not_keep_the_director(folder: Path) -> None:
    """It asks, never reads and leaves; nothing of it is left in the loop."""

    async def story() -> None:
        path = folder / "control.sock"
        async with served(path):
            for _ in range(20):
                _, writer = await asyncio.open_unix_connection(path)
                writer.write(b'{"verb": "status"}\n')
                writer.transport.abort()
            assert json.loads(await said(path, b'{"verb": "status"}\n'))["ok"]

    asyncio.run(story())


def test_the_socket_goes_at_once_although_a_client_is_still_there(folder: Path) -> None:
    """A stop must not wait for a client that says nothing."""

    async def story() -> None:
        path = folder / "control.sock"
        async with served(path):
            _, writer = await asyncio.open_unix_connection(path)
            loop = asyncio.get_running_loop()
            started_s = loop.time()
        assert loop.time() - started_s < control.REQUEST_TIMEOUT_S / 2
        assert not path.exists()
        writer.close()

    asyncio.run(story())


def test_a_stale_socket_is_replaced(folder: Path) -> None:
    """What a director leaves behind that was killed: a socket nobody listens on."""
    path = folder / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def story() -> None:
        async with served(path):
            assert json.loads(await said(path, b'{"verb": "status"}\n'))["ok"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("group", "mode", "gid"),
    [pytest.param(None, 0o600, os.getegid(), id="no group: 0600"), pytest.param(GROUP, 0o660, 1, id="group: 0660")],
)
def test_the_socket_has_only_the_permissions_it_needs(group: str | None, mode: int, gid: int, folder: Path) -> None:
    """Whatever the umask of the process, which is as before afterwards."""
    path = folder / "control.sock"

    async def story() -> None:
        async with served(path, group):
            assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (mode, gid)

    before = os.umask(0)
    try:
        asyncio.run(story())
        assert os.umask(0) == 0
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("uid", "gid", "groups", "answer"),
    [
        pytest.param(0, 0, (), {"ok": True, "result": STATUS}, id="root"),
        pytest.param(NOBODY.pw_uid, NOBODY.pw_gid, (), {"ok": False, "error": REFUSED}, id="anyone"),
        pytest.param(NOBODY.pw_uid, NOBODY.pw_gid, (1,), {"ok": True, "result": STATUS}, id="a member of the group"),
        pytest.param(NOBODY.pw_uid, 1, (), {"ok": True, "result": STATUS}, id="its primary group"),
        pytest.param(NOBODY.pw_uid, NOBODY.pw_gid, (2, 3), {"ok": False, "error": REFUSED}, id="of other groups"),
    ],
)
def test_who_asks_is_known_from_the_kernel(
    uid: int, gid: int, groups: tuple[int, ...], answer: object, folder: Path
) -> None:
    """With the permissions of the file out of the way, SO_PEERCRED is what keeps strangers out."""
    path = folder / "control.sock"

    async def story() -> None:
        async with served(path, GROUP):
            path.chmod(0o666)
            assert await said_to(path, uid, gid, groups) == answer

    asyncio.run(story())


def test_without_a_group_only_root_is_answered(folder: Path) -> None:
    path = folder / "control.sock"

    async def story() -> None:
        async with served(path):
            assert await said_to(path, NOBODY.pw_uid, NOBODY.pw_gid, (1,)) == "no way in"
            path.chmod(0o666)
            assert await said_to(path, NOBODY.pw_uid, NOBODY.pw_gid, (1,)) == {"ok": False, "error": REFUSED}

    asyncio.run(story())


def test_a_group_that_does_not_exist_is_a_mistake_in_the_configuration(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"director\.control_group: no group balanced-none .*groupadd"):
        ControlSocket(folder / "control.sock", {}, "balanced-none")


def test_nobody_listening_is_told_with_the_remedy(folder: Path) -> None:
    with pytest.raises(ControlError, match=r"no director listens on .*systemctl start"):
        ask(folder / "control.sock", "status")


def test_a_refusal_reaches_the_operator(folder: Path) -> None:
    async def story() -> None:
        async with served(folder / "control.sock"):
            with pytest.raises(ControlError, match=r"the director refused: unknown request \(verbs: drain, status\)"):
                await asyncio.to_thread(ask, folder / "control.sock", "reboot")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(b"", "the director refused: it hung up", id="hung up"),
        pytest.param(b"hello\n", "is no director", id="no JSON"),
        pytest.param(b"[]\n", "is no director", id="another shape"),
        pytest.param(b'{"ok": true, "resu', "is no director", id="half an answer"),
        pytest.param(None, "did not answer within 0.2 s", id="silence"),
    ],
)
def test_an_answer_that_is_none_is_told(
    answer: bytes | None, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.2)

    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async def story() -> None:
        server = await asyncio.start_unix_server(stranger, folder / "control.sock")
        with pytest.raises(ControlError, match=message):
            await asyncio.to_thread(ask, folder / "control.sock", "status")
        server.close()

    asyncio.run(story())


def test_an_order_is_carried_out_for_whom_the_kernel_names(folder: Path) -> None:
    async def story() -> None:
        async with served(folder / "control.sock"):
            answer = await asyncio.to_thread(ask, folder / "control.sock", "drain", {"vip": "10.50.0.1"})
            assert isinstance(answer, dict)
            assert answer["vip"] == "10.50.0.1"
            assert answer["who"].endswith(pwd.getpwuid(os.geteuid()).pw_name)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({"vip": "never"}, "never is no address", id="what the director refuses"),
        pytest.param({"vip": 7}, "Expected `str`, got `int` - at `$.vip`", id="another type"),
        pytest.param({"vips": "10.50.0.1"}, "unknown field `vips`", id="an unknown argument"),
    ],
)
def test_an_order_that_cannot_be_taken_is_refused_with_the_reason(
    arguments: dict[str, object], said: str, folder: Path
) -> None:
    async def story() -> None:
        async with served(folder / "control.sock"):
            with pytest.raises(ControlError, match=re.escape(said)):
                await asyncio.to_thread(ask, folder / "control.sock", "drain", arguments)

    asyncio.run(story())
