"""A BIRD for the faults that a real one cannot be brought to: it answers as told, or not at all.

What it does on its own is held true by the suite that runs against it and against the real ones.
"""

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WELCOME = b"0001 BIRD 9.9.9 ready.\n"
ROUTE = re.compile(r"route (\S+/\d+) blackhole;")
FILTER = re.compile(r"^filter balanced_prefer(.*?)\n}", re.DOTALL | re.MULTILINE)
HOST = re.compile(r"\S+/(?:32|128)")
MARK = "bgp_community.add((65535,0))"
NOT_OURS = "syntax error"

Answer = bytes | Callable[["FakeBird"], bytes] | None


@dataclass(frozen=True)
class Taken:
    """What it has read: its routes, and those that its filters mark."""

    routes: tuple[str, ...] = ()
    marked: frozenset[str] = frozenset()
    all_marked: bool = False


class FakeBird:
    """Reads the include directory as BIRD does; ``answers`` overrules its answer to a command, None is silence."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "bird.ctl"
        self.include_dir = folder / "include"
        self.answers: dict[str, Answer] = {}
        self.noise = b""
        self.piece_bytes = 65536
        self.established = False
        self.extra_routes: tuple[str, ...] = ()
        self.untold: tuple[str, ...] = ()
        self._running = Taken()
        self._before: Taken | None = None
        self._disabled: dict[str, str] = {}
        self._undo: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def start(self) -> None:
        """Start it with what stands on the disk."""
        self._running, self._before, self._disabled = self._on_disk(), None, {}
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)))
        self._thread.start()
        assert ready.wait(5)

    def stop(self) -> None:
        """End it; connections are closed."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(5)
            self._thread = None
            self.socket.unlink(missing_ok=True)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        clients: set[asyncio.StreamWriter] = set()

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            clients.add(writer)
            writer.write(WELCOME)
            while line := await reader.readline():
                answer = self._answer(line.decode().rstrip("\n"))
                for start in range(0, len(answer), self.piece_bytes):
                    writer.write(answer[start : start + self.piece_bytes])
                    await writer.drain()
                    await asyncio.sleep(0)
            writer.close()

        server = await asyncio.start_unix_server(client, self.socket)
        ready.set()
        await self._stop.wait()
        server.close()
        for writer in clients:
            writer.close()

    def _answer(self, command: str) -> bytes:
        for start, answer in self.answers.items():
            if command.startswith(start):
                made = answer(self) if callable(answer) else answer
                return b"" if made is None else self.noise + made
        return self.noise + self.obey(command).encode()

    def obey(self, command: str) -> str:
        """What a BIRD in good health does and answers."""
        if command == "show status":
            return "1000-BIRD 9.9.9\n1011-Router ID is 10.0.0.11\n0013 Daemon is up and running\n"
        if command.startswith("show protocols"):
            return self._protocols()
        if command.startswith("show route protocol"):
            return self._show_route(command.split("'"))
        if command.startswith("disable"):
            _, name, *rest = command.replace("'", "").split(maxsplit=2)
            self._disabled[name] = rest[0].strip('"') if rest else ""
            return f"0009-{name}: disabled\n0000 \n"
        return self._configure(command)

    def _protocols(self) -> str:
        state = "up     12:00:00.000  Established" if self.established else "start  12:00:00.000  Active"
        channel = "UP" if self.established else "DOWN"
        statics = "".join(self._static(f"balanced_vips{n}", n) for n in (4, 6))
        channels = "".join(f"   Channel ipv{n}\n     State:          {channel}\n" for n in (4, 6))
        session = f"1002-balanced_tor1 BGP ---  {state}\n1006-  BGP state: x\n{channels}"
        return f"2002-Name Proto Table State Since Info\n{statics if self._included() else ''}{session}0000 \n"

    def _static(self, name: str, version: int) -> str:
        state = "down" if name in self._disabled else "up"
        message = self._disabled.get(name)
        detail = f"1006-  Message:        {message}\n" if message else ""
        return f"1002-{name} Static master{version} {state} 12:00:00.000\n{detail}"

    def _show_route(self, words: list[str]) -> str:
        if not self._included():
            return "9001 syntax error, unexpected CF_SYM_UNDEFINED, expecting CF_SYM_KNOWN\n"
        length = "/32" if words[1].endswith("4") else "/128"
        held = () if words[1] in self._disabled else (*self._running.routes, *self.extra_routes)
        if "where" in words[2]:
            held = tuple(route for route in held if self._running.all_marked or route in self._running.marked)
        elif len(words) > 3:
            held = tuple(route for route in held if route not in self.untold)
        routes = [f" {route} blackhole [x 12:00:00.000] * (200)\n" for route in held if route.endswith(length)]
        return ("1007-Table master:\n" if routes else "") + "".join(routes) + "0000 \n"

    def _configure(self, command: str) -> str:
        reading = "0002-Reading configuration from bird.conf\n"
        if command == "configure status":
            return "0003-Daemon is up and running\n" + ("0022-Undo\n" if self._undo else "") + "0000 \n"
        if command == "configure confirm":
            return "0018 Reconfiguration confirmed\n" if self._cancel_undo() else "0019 Nothing to do\n"
        if command == "configure undo":
            self._go_back()
            return "0021-Undo requested\n0003 Reconfigured\n"
        if NOT_OURS in self._text():
            return f"{reading}8002 bird.conf:1:1 {NOT_OURS}\n"
        if command == "configure check":
            return f"{reading}0020 Configuration OK\n"
        self._cancel_undo()
        self._before, self._running, self._disabled = self._running, self._on_disk(), {}
        if "timeout" in command:
            self._undo = asyncio.get_running_loop().call_later(int(command.rsplit(maxsplit=1)[-1]), self._go_back)
        return f"{reading}0022-Undo scheduled\n0003 Reconfigured\n"

    def _cancel_undo(self) -> bool:
        pending, self._undo = self._undo, None
        if pending is not None:
            pending.cancel()
        return pending is not None

    def _go_back(self) -> None:
        self._cancel_undo()
        if self._before is not None:
            self._running, self._before = self._before, None

    def _included(self) -> bool:
        return bool(self._running.routes) or (self.include_dir / "balanced-vips.conf").exists()

    def _text(self) -> str:
        return "".join(path.read_text() for path in sorted(self.include_dir.glob("*.conf")))

    def _on_disk(self) -> "Taken":
        text = self._text()
        filters = "".join(FILTER.findall(text))
        marked = HOST.findall(filters)
        return Taken(tuple(ROUTE.findall(text)), frozenset(marked), MARK in filters and not marked)
