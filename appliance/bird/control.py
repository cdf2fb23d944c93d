"""A client of BIRD's control socket: one command, one reply, within a bound time."""

import asyncio
import contextlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from appliance.bird.render import GRACEFUL_SHUTDOWN
from appliance.bird.replies import WELCOME, Reply, ReplyParser
from appliance.errors import BirdRejected, BirdUnexpected, BirdUnreachable

# BIRD closes the connection, without a reply, on a command of 1,023 bytes or more (its receive buffer has 1,024).
MAX_COMMAND_BYTES = 1000
_PRINTABLE = re.compile(r"[ -~]+", re.ASCII)
# BIRD manual, "Configuration": a symbol between apostrophes may hold these characters, a bare one fewer.
_SYMBOL = re.compile(r"[A-Za-z0-9_:.-]{1,64}", re.ASCII)
_READ_BYTES = 65536
# BIRD that was silent once is asked again this soon, and has this long to greet before it is trusted with a question.
SILENCE_S = 0.5
GREETING_S = 0.2
# BIRD reads its configuration again in the middle of a long answer (nest/rt-show.c): the question is to be asked anew.
CUT_OFF = 8004


@dataclass(frozen=True, slots=True)
class Command:
    """One line for BIRD. A second command cannot hide in it.

    Raises:
        ValueError: the text is not one line of printable ASCII, or too long; that is a bug of whoever built it.
    """

    text: str

    def __post_init__(self) -> None:
        if not _PRINTABLE.fullmatch(self.text) or len(self.text) > MAX_COMMAND_BYTES:
            raise ValueError(f"not a command for BIRD: {self.text[:80]!r}")


SHOW_STATUS = Command("show status")
SHOW_PROTOCOLS = Command("show protocols all")
CHECK = Command("configure check")
CONFIRM = Command("configure confirm")
UNDO = Command("configure undo")
CONFIGURE_STATUS = Command("configure status")


def configure(undo_after_s: int) -> Command:
    """Read the configuration again; BIRD undoes it by itself unless it is confirmed within ``undo_after_s``."""
    return Command(f"configure timeout {int(undo_after_s)}")


def show_routes(protocol: str) -> Command:
    """The routes that ``protocol`` holds, in whichever table."""
    return Command(f"show route protocol {_symbol(protocol)}")


def show_exported(protocol: str, session: str) -> Command:
    """The routes of ``protocol`` that were really exported to ``session``, whose channels must be up.

    ``exported`` tells what was sent, where ``export`` would run today's filter over today's routes (BIRD manual).
    """
    return Command(f"show route protocol {_symbol(protocol)} exported {_symbol(session)}")


def show_marked(protocol: str) -> Command:
    """The routes of ``protocol`` that carry the mark by which routers avoid them."""
    return Command(f"show route protocol {_symbol(protocol)} where {GRACEFUL_SHUTDOWN} ~ bgp_community")


def disable(protocol: str, reason: str) -> Command:
    """Take all routes of ``protocol`` back, without reading any configuration. BIRD shows ``reason`` with it.

    Raises:
        ValueError: the reason could end its quotes.
    """
    if '"' in reason:
        raise ValueError(f"not a reason for BIRD: {reason!r}")
    return Command(f'disable {_symbol(protocol)} "{reason}"')


def _symbol(name: str) -> str:
    if not _SYMBOL.fullmatch(name):
        raise BirdUnexpected(f"{name!r} is no name of a protocol", hint="use letters, digits and _ in BIRD's names")
    return f"'{name}'"


class BirdControl:
    """A connection to BIRD, made when it is needed and made again when BIRD has restarted."""

    def __init__(self, socket_path: Path, timeout_s: float) -> None:
        """Nothing is opened yet.

        Args:
            socket_path: BIRD's control socket.
            timeout_s: the longest that connecting and answering one command may take together.
        """
        self._path = socket_path
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._parser = ReplyParser()
        self._silence = ""
        self._ask_again_s = 0.0
        self._connections = 0

    @property
    def connections(self) -> int:
        """How many connections were made so far: another number is another BIRD, or one that was silent."""
        return self._connections

    async def ask(self, command: Command, *, accept: Collection[int] = ()) -> Reply:
        """Send one command and return its reply.

        A hung BIRD costs its time-out once. Then it is given up at once, or after the short time in which a BIRD that
        is well again greets, so that whoever asks can go on with other work.

        Raises:
            BirdUnreachable: there is no complete answer within the time-out.
            BirdRejected: the reply is an error whose code is not in ``accept``.
            BirdUnexpected: what came is not BIRD's protocol.
        """
        async with self._lock:
            reply = await self._bounded(command)
        if reply.failed and reply.code not in accept:
            raise BirdRejected(command.text, reply.code, reply.text)
        return reply

    def close(self) -> None:
        """Give the connection up; the next command makes a new one."""
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None

    async def _bounded(self, command: Command) -> Reply:
        answered = False
        try:
            await self._greeted_again()
            async with asyncio.timeout(self._timeout_s):
                reply = await self._exchange(command)
                while reply.code == CUT_OFF:
                    reply = await self._exchange(command)
            answered = True
        except TimeoutError:
            self._silence = f"does not answer {command.text!r} within {self._timeout_s:g} s"
            self._ask_again_s = asyncio.get_running_loop().time() + SILENCE_S
            raise self._unreachable(self._silence) from None
        except (OSError, EOFError) as error:
            raise self._unreachable(f"cannot be asked: {error}") from error
        finally:
            # Also on cancellation: a late answer must not be taken for that of the next command.
            if not answered:
                self.close()
        return reply

    async def _greeted_again(self) -> None:
        """After a silence, wait for BIRD's greeting, for a short time and not each time."""
        if not self._silence:
            return
        clock = asyncio.get_running_loop().time
        if clock() >= self._ask_again_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GREETING_S):
                    await self._connect()
                self._silence = ""
                return
            self._ask_again_s = clock() + SILENCE_S
        raise self._unreachable(self._silence)

    async def _exchange(self, command: Command) -> Reply:
        if self._stream is not None:
            try:
                return await self._send(command)
            except (OSError, EOFError):
                self.close()  # BIRD was restarted since the last command; this one is asked of its successor
        await self._connect()
        return await self._send(command)

    async def _connect(self) -> None:
        self._stream = await asyncio.open_unix_connection(self._path)
        self._parser = ReplyParser()
        welcome = await self._receive()
        self._connections += 1
        if welcome.code != WELCOME:
            raise BirdUnexpected(f"{self._path} greets with {welcome.code:04d} {welcome.text!r} instead of 0001")

    async def _send(self, command: Command) -> Reply:
        writer = self._open()[1]
        writer.write(command.text.encode("ascii") + b"\n")
        await writer.drain()
        return await self._receive()

    async def _receive(self) -> Reply:
        reader = self._open()[0]
        while True:
            data = await reader.read(_READ_BYTES)
            if not data:
                raise EOFError("it closed the connection")
            replies = self._parser.feed(data)
            if len(replies) > 1:
                raise BirdUnexpected(f"BIRD gave {len(replies)} replies to one command: {replies[-1].text!r}")
            if replies:
                return replies[0]

    def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._stream is None:
            raise EOFError("there is no connection")
        return self._stream

    def _unreachable(self, what: str) -> BirdUnreachable:
        return BirdUnreachable(f"BIRD on {self._path} {what}", hint="look at `systemctl status bird`")
