"""Log lines with fields: one for each transition an operator should see, none for a loop that goes round.

Under systemd a line goes to journald with its fields, sent one by one: ``journalctl BALANCED_VIP=10.50.0.1`` tells that
VIP's story, and ``journalctl -x`` explains it. Elsewhere it is text on stderr: ``what happened VIP=10.50.0.1``.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

from appliance.telemetry.messages import ENDED, Level, Message

IDENTIFIER = "balanced-director"
PREFIX = "BALANCED_"

Send = Callable[..., object]
"""``systemd.journal.send``: the text, and fields by keyword."""


class Journal:
    """Where transitions are written.

    Args:
        stream: where the lines go; by default to journald if this process was started by systemd, else to stderr.
        prefix: whether the priorities of systemd's stderr protocol (sd-daemon(3)) stand before the lines of ``stream``;
            by default if that stream leads to journald.
        send: what takes the fields to journald, in place of ``stream``.
        identifier: whose lines they are, as ``journalctl -t`` selects them.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        prefix: bool | None = None,
        send: Send | None = None,
        identifier: str = IDENTIFIER,
    ) -> None:
        self._identifier = identifier
        self._stream = stream or sys.stderr
        self._prefix = leads_to_journald(self._stream, os.environ) if prefix is None else prefix
        self._send = _native() if send is None and stream is None and self._prefix else send

    def tell(self, message: Message, /, *, text: str = "", **fields: object) -> None:
        """Write one line of this kind, ``text`` instead of the message's own; fields with an empty value are left out.

        Field names are those of the journal without ``BALANCED_``: VIP, SERVICE, REASON, FROM, TO, GENERATION ...
        """
        said = {name: value for name, value in fields.items() if name not in message.unsaid}
        text = text or message.text
        if self._send is None:
            self._stream.write(render(text, message.level, said, prefix=self._prefix) + "\n")
            self._stream.flush()
            return
        line = " ".join([plain(text), *_pairs(said)])
        sent = {PREFIX + name: plain(str(value)) for name, value in fields.items() if value not in (None, "")}
        self._send(line, MESSAGE_ID=message.id, PRIORITY=int(message.level), SYSLOG_IDENTIFIER=self._identifier, **sent)


class Standing:
    """Conditions that stand for a while: written when they begin, change or end, and not in between."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._standing: dict[str, str] = {}

    def begin(self, kind: Message, reason: str, of: object = "", **fields: object) -> None:
        """A condition of this kind holds because of ``reason``; silent when that was said already.

        ``of`` tells it from others of its kind: the service that the kernel refuses, the source that is silent.
        """
        name = _named(kind, of)
        if self._standing.get(name) != reason:
            self._standing[name] = reason
            self._journal.tell(kind, text=reason, CONDITION=name, REASON=reason, **fields)

    def end(self, kind: Message, of: object = "", **fields: object) -> None:
        """The condition holds no more; silent when it did not."""
        name = _named(kind, of)
        if self._standing.pop(name, None) is not None:
            self._journal.tell(ENDED, text=f"{name} is well again", CONDITION=name, **fields)

    @property
    def all(self) -> Mapping[str, str]:
        """Every condition that stands now: name -> description."""
        return dict(self._standing)


def leads_to_journald(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether systemd connected this stream to journald, by device and inode (systemd.exec(5), ``$JOURNAL_STREAM``).

    The variable alone does not tell: a shell under systemd hands it on to what it starts in a terminal.
    """
    try:
        found = os.fstat(stream.fileno())
    except OSError:  # also of a stream that is no file (io.UnsupportedOperation)
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def render(message: str, level: Level, fields: Mapping[str, object], *, prefix: bool) -> str:
    """One line of text; control characters inside values cannot start another line."""
    head = f"<{int(level)}>" if prefix else f"{level.name.lower():7} "
    return " ".join([f"{head}{plain(message)}", *_pairs(fields)])


def plain(text: str) -> str:
    """The text with blanks for what cannot be printed."""
    return "".join(char if char.isprintable() else " " for char in text)


def _pairs(fields: Mapping[str, object]) -> list[str]:
    return [f"{name}={_quoted(str(value))}" for name, value in fields.items() if value not in (None, "")]


def _quoted(text: str) -> str:
    return text if text.isprintable() and " " not in text and '"' not in text else json.dumps(text)


def _named(kind: Message, of: object) -> str:
    return f"{kind.name} {of}".rstrip()


def _native() -> Send | None:
    """The protocol of journald itself, None without the C extension: lines on stderr then, which journald files too."""
    try:
        from systemd import journal  # noqa: PLC0415 - a daemon without it works as well
    except ImportError:
        return None
    send: Send = journal.send
    return send
