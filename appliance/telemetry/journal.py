"""Log lines with fields: one for each transition an operator should see, none for a loop that goes round.

A line on stderr reads ``what happened VIP=10.50.0.1 REASON="..."``. Under systemd a ``<N>`` priority stands before it
(sd-daemon(3)), so that journald files it under the right level.
"""

import enum
import json
import os
import sys
from collections.abc import Mapping
from typing import TextIO


class Level(enum.IntEnum):
    """Syslog priorities that we use."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


class Journal:
    """Where transitions are written. ``prefix`` asks for the ``<N>`` priorities of systemd's stderr protocol."""

    def __init__(self, stream: TextIO | None = None, *, prefix: bool | None = None) -> None:
        self._stream = stream or sys.stderr
        self._prefix = "JOURNAL_STREAM" in os.environ if prefix is None else prefix

    def write(self, message: str, *, level: Level = Level.INFO, **fields: object) -> None:
        """Write one line; fields with an empty value are left out."""
        self._stream.write(render(message, level, fields, prefix=self._prefix) + "\n")
        self._stream.flush()

    def info(self, message: str, **fields: object) -> None:
        """Something that was wanted."""
        self.write(message, level=Level.INFO, **fields)

    def notice(self, message: str, **fields: object) -> None:
        """A change that an operator will want to find again: announced, withdrawn, repaired."""
        self.write(message, level=Level.NOTICE, **fields)

    def warning(self, message: str, **fields: object) -> None:
        """Something is not as it should be, and we hold or work around it."""
        self.write(message, level=Level.WARNING, **fields)

    def error(self, message: str, **fields: object) -> None:
        """Something failed that needs a person."""
        self.write(message, level=Level.ERROR, **fields)


class Standing:
    """Conditions that stand for a while: written when they begin, change or end, and not in between."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._standing: dict[str, str] = {}

    def begin(self, name: str, message: str, **fields: object) -> None:
        """The condition ``name`` holds, described by ``message``; silent when that was said already."""
        if self._standing.get(name) != message:
            self._standing[name] = message
            self._journal.warning(message, CONDITION=name, **fields)

    def end(self, name: str) -> None:
        """The condition holds no more; silent when it did not."""
        if self._standing.pop(name, None) is not None:
            self._journal.notice(f"{name} is well again", CONDITION=name)

    @property
    def all(self) -> Mapping[str, str]:
        """Every condition that stands now: name -> description."""
        return dict(self._standing)


def render(message: str, level: Level, fields: Mapping[str, object], *, prefix: bool) -> str:
    """One line of text; control characters inside values cannot start another line."""
    parts = [f"<{int(level)}>{_plain(message)}" if prefix else f"{level.name.lower():7} {_plain(message)}"]
    parts.extend(f"{name}={_quoted(str(value))}" for name, value in fields.items() if value not in (None, ""))
    return " ".join(parts)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _quoted(text: str) -> str:
    return text if text.isprintable() and " " not in text and '"' not in text else json.dumps(text)
