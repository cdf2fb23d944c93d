"""The journal's catalogue, made from the messages: ``python -m appliance.telemetry.catalog > FILE``.

journald shows it to ``journalctl -x``. The format is that of systemd's own (journalctl(1), --update-catalog):
``-- ID``, header lines, an empty line, text in which ``@FIELD@`` stands for a field of the line.
"""

import sys
import textwrap
from collections.abc import Iterator

from appliance.telemetry.messages import CONDITIONS, MESSAGES, Level, Message

WIDTH = 78

_HEAD = """\
# What balanced-director writes to the journal, for journalctl -x.
# Made from appliance/telemetry/messages.py by python -m appliance.telemetry.catalog; do not edit.
"""


def catalog() -> str:
    """The whole catalogue, the same bytes for the same messages."""
    return "\n".join([_HEAD, *("\n".join(_entry(message)) for message in MESSAGES)])


def _entry(message: Message) -> Iterator[str]:
    yield f"-- {message.id}"
    yield f"Subject: {_subject(message)}"
    yield "Defined-By: BalanceD"
    yield ""
    for head, text in (("What", message.what), ("Impact", message.impact), ("Next", message.next)):
        # An @FIELD@ is one word and stays whole.
        yield from textwrap.wrap(f"{head}: {text}", WIDTH, break_long_words=False, break_on_hyphens=False)
    if message.level <= Level.WARNING:
        yield f'More: docs/operations.md, section "{message.name}"'
    yield ""


def _subject(message: Message) -> str:
    return f"condition: {message.name}" if message in CONDITIONS else message.name


if __name__ == "__main__":
    sys.stdout.write(catalog())
