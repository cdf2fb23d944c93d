"""The table of messages: complete, unambiguous, and in step with the catalogue and the runbook."""

import ast
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.telemetry import messages
from appliance.telemetry.catalog import WIDTH, catalog
from appliance.telemetry.messages import CONDITIONS, MESSAGES, Level, Message

ROOT = Path(__file__).parents[3]
ALARMS = [each for each in MESSAGES if each.level <= Level.WARNING]
each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)


@each_message
def test_a_message_says_what_it_means_what_follows_and_what_to_do(message: Message) -> None:
    assert message.what
    assert message.impact
    assert message.next


@each_message
def test_an_identifier_is_a_random_uuid_in_the_journals_form(message: Message) -> None:
    """32 small hexadecimal digits (systemd.journal-fields(7)); one made up by hand is rarely of version 4."""
    assert re.fullmatch(r"[0-9a-f]{32}", message.id)
    assert uuid.UUID(message.id).version == 4


def test_no_two_messages_share_a_name_or_an_identifier() -> None:
    assert len({each.id for each in MESSAGES}) == len(MESSAGES)
    assert len({each.name for each in MESSAGES}) == len(MESSAGES)


def test_a_conditions_text_is_what_is_wrong_now() -> None:
    assert {each.text for each in CONDITIONS} == {""}
    assert {each.level for each in CONDITIONS} == {Level.WARNING}


def told() -> Iterator[str]:
    """The names of the messages that any module of the program mentions."""
    for path in (ROOT / "appliance").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "messages":
                yield node.attr


def test_every_message_is_told_by_somebody() -> None:
    known = {name for name, value in vars(messages).items() if isinstance(value, Message)}

    assert known - {*told(), "ENDED"} == set()


def test_the_catalogue_that_is_shipped_is_the_one_that_the_messages_make() -> None:
    """Remedy: python -m appliance.telemetry.catalog > templates/systemd/balanced.catalog."""
    assert (ROOT / "templates/systemd/balanced.catalog").read_text() == catalog()


def test_the_catalogue_fits_a_terminal() -> None:
    assert max(map(len, catalog().splitlines()[3:])) <= WIDTH


def entries(page: str) -> set[str]:
    """The alarms that have an entry in a runbook: its headings that begin with a name in backticks."""
    return set(re.findall(r"^### `([^`]+)`", page, flags=re.MULTILINE))


def test_every_alarm_has_an_entry_in_the_runbook() -> None:
    page = (ROOT / "docs/operations.md").read_text()

    assert {each.name for each in ALARMS} - entries(page) == set()


def test_the_runbooks_reader_misses_what_is_not_there() -> None:
    """The checker above can fail."""
    assert entries("### `bird`\n\n### `kernel` KEY\n\ntext `routes`\n## `events`\n") == {"bird", "kernel"}
