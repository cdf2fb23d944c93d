"""What BIRD answers on its control socket: bytes -> replies -> values. No I/O.

The protocol (BIRD's doc/reply_codes): each line is ``CCCC-text`` (more follows), ``CCCC text`` (last of the reply) or
`` text`` (more, same code as before). A line that starts with ``+`` is asynchronous, may stand anywhere and belongs to
no reply. Verdicts are read from codes alone, text only where it is the payload: routes, protocols, the version.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_network

from appliance.errors import BirdError, BirdUnexpected
from appliance.model.address import Address

WELCOME = 1
FIRST_ERROR_CODE = 8000
# Longer than any line of BIRD, whose own buffer for one is 4 kB (nest/cli.h, CLI_TX_BUF_SIZE).
MAX_LINE_BYTES = 65536

_DONE = 0
_VERSION = 1000
_PROTOCOL = 1002
_DETAIL = 1006
_ROUTE = 1007
_HEADER = 2002

_CODED = re.compile(rb"([0-9]{4})([ -])(.*)", re.DOTALL)
_VERSION_TEXT = re.compile(r"BIRD ((\d+)\.\d+[\w.+~-]*)", re.ASCII)
_ROW = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s+(\S+)(?:\s+(.*))?", re.ASCII)
_TABLE = re.compile(r"Table \S+:", re.ASCII)
_MESSAGE = re.compile(r"\s*Message:\s+(.*)", re.ASCII)
_CHANNEL = re.compile(r"\s*Channel (\S+)", re.ASCII)
_CHANNEL_STATE = re.compile(r"\s*State:\s+(\S+)", re.ASCII)
_BGP_STATES = frozenset({"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established", "Close", "Passive"})
_FAMILIES = {"ipv4": 4, "ipv6": 6}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a reply: its code, given or inherited, and its text."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole reply, at least one line long. Its last line is the verdict."""

    lines: tuple[Line, ...]

    @property
    def code(self) -> int:
        """The code of the last line."""
        return self.lines[-1].code

    @property
    def codes(self) -> frozenset[int]:
        """The codes of all lines."""
        return frozenset(line.code for line in self.lines)

    @property
    def text(self) -> str:
        """The text of the last line."""
        return self.lines[-1].text

    @property
    def failed(self) -> bool:
        """Whether BIRD says no: 8xxx are run-time errors, 9xxx errors in the command."""
        return self.code >= FIRST_ERROR_CODE


class ReplyParser:
    """Cuts a stream of bytes, however it is split, into replies."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[Line] = []

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that ``data`` completes.

        Raises:
            BirdUnexpected: the stream is not BIRD's control protocol. The parser is of no further use.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        replies = [reply for line in lines if (reply := self._line(line)) is not None]
        if len(self._rest) > MAX_LINE_BYTES:
            raise _unexpected("a line without end", self._rest)
        return replies

    def _line(self, line: bytes) -> Reply | None:
        if line.startswith(b"+"):
            return None
        if line.startswith(b" ") and self._lines:  # nearly all lines of a long list
            self._lines.append(Line(self._lines[-1].code, _text(line[1:])))
            return None
        coded = _CODED.fullmatch(line)
        if coded is None:
            raise _unexpected("a line without a reply code", line)
        self._lines.append(Line(int(coded[1]), _text(coded[3])))
        if coded[2] == b"-":
            return None
        reply = Reply(tuple(self._lines))
        self._lines = []
        return reply


@dataclass(frozen=True, slots=True)
class Version:
    """BIRD's version as it prints it (``2.17.6``) and its dialect: 2 or 3."""

    text: str
    dialect: int


@dataclass(frozen=True, slots=True)
class Session:
    """One protocol of BIRD.

    ``families`` are the IP versions whose channels are up, ``message`` is the reason given when it was disabled.
    """

    name: str
    protocol: str
    up: bool
    state: str
    families: frozenset[int] = frozenset()
    message: str = ""

    @property
    def is_bgp(self) -> bool:
        """Whether this is a BGP session."""
        return self.protocol == "BGP"


def parse_status(reply: Reply) -> Version:
    """The version out of the reply to ``show status``.

    Raises:
        BirdUnexpected: there is none.
    """
    for line in reply.lines:
        found = _VERSION_TEXT.match(line.text) if line.code == _VERSION else None
        if found is not None:
            return Version(found[1], int(found[2]))
    raise BirdUnexpected(f"BIRD does not tell its version: {reply.text!r}", hint="is it BIRD that has this socket?")


def parse_protocols(reply: Reply) -> tuple[Session, ...]:
    """Every protocol out of the reply to ``show protocols all``, in BIRD's order.

    A BGP session is up exactly when it is established (proto/bgp/bgp.c, bgp_conn_enter_established_state); its state
    is the word of the last column, which also holds a time in a format that the operator chooses.

    Raises:
        BirdUnexpected: the reply is none of that kind.
    """
    sessions: list[Session] = []
    channel = ""
    for line in _payload(reply, {_HEADER, _PROTOCOL, _DETAIL}):
        if line.code == _PROTOCOL and line.text.strip():
            sessions.append(_session(line.text))
            channel = ""
        elif line.code == _DETAIL and sessions and not channel and (found := _MESSAGE.fullmatch(line.text)):
            sessions[-1] = replace(sessions[-1], message=found[1])
        elif line.code == _DETAIL and (found := _CHANNEL.fullmatch(line.text)):
            channel = found[1]
        elif line.code == _DETAIL and channel and (found := _CHANNEL_STATE.fullmatch(line.text)):
            if not sessions:
                raise BirdUnexpected(f"BIRD lists a channel without its protocol: {line.text!r}")
            if found[1] == "UP" and channel in _FAMILIES:
                sessions[-1] = replace(sessions[-1], families=sessions[-1].families | {_FAMILIES[channel]})
            channel = ""
    return tuple(sessions)


def parse_routes(reply: Reply) -> frozenset[Address]:
    """The one-host prefixes out of the reply to ``show route``.

    Raises:
        BirdUnexpected: the reply is none of that kind, or holds a prefix of more than one host.
    """
    routes: set[Address] = set()
    for line in _payload(reply, {_ROUTE}):
        if not line.text or _TABLE.fullmatch(line.text):
            continue
        if line.text[0].isspace() and routes:
            continue  # another path of the prefix above, or the next hop of its path
        routes.add(_host(line.text.partition(" ")[0]))
    return frozenset(routes)


def _payload(reply: Reply, codes: set[int]) -> list[Line]:
    """The lines before the final ``0000``, all of them with one of ``codes``."""
    for line in reply.lines[:-1]:
        if line.code not in codes:
            raise BirdUnexpected(f"BIRD answered {line.code:04d} where a list was expected: {line.text!r}")
    if reply.code != _DONE:
        raise BirdUnexpected(f"BIRD ended a list with {reply.code:04d}: {reply.text!r}")
    return list(reply.lines[:-1])


def _session(text: str) -> Session:
    row = _ROW.fullmatch(text)
    if row is None:
        raise BirdUnexpected(f"BIRD lists a protocol with too few columns: {text!r}")
    name, protocol, _, state, info = row.groups(default="")
    word = next((word for word in info.split() if word in _BGP_STATES), state)
    return Session(name, protocol, state == "up", word)


# The same routes are listed for each session, in every pass: reading them anew would be most of a pass's time.
@lru_cache(maxsize=32768)
def _host(text: str) -> Address:
    try:
        network = ip_network(text)
    except ValueError:
        raise BirdUnexpected(f"BIRD lists a route that is no IP prefix: {text!r}") from None
    if "/" not in text or network.prefixlen != network.max_prefixlen:
        raise BirdUnexpected(
            f"BIRD holds {text} in a protocol of ours, which is not the prefix of one host",
            hint="delete our include file and run `birdc configure`; it is written anew",
        )
    return network.network_address


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _unexpected(what: str, line: bytes) -> BirdError:
    return BirdUnexpected(f"{what} on BIRD's socket: {line[:80]!r}", hint="is it BIRD that has this socket?")
