"""Log lines: one for each transition, none that a value could break in two, fields beside the text."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.telemetry import messages
from appliance.telemetry.journal import Journal, Standing, leads_to_journald, render
from appliance.telemetry.messages import Level

texts = st.text(st.characters(blacklist_categories=["Cs"]) | st.sampled_from("\n\r\x1b\x85\u2028\x00"), max_size=30)


class Sent(list[dict[str, Any]]):
    """What journald would get."""

    def __call__(self, message: str, **fields: object) -> None:
        self.append({"MESSAGE": message, **fields})


@given(texts, st.dictionaries(st.sampled_from(["VIP", "REASON"]), texts), st.booleans())
def test_no_value_can_start_another_line(message: str, fields: dict[str, str], prefix: bool) -> None:  # noqa: FBT001 - hypothesis fills it
    line = render(message, Level.INFO, fields, prefix=prefix)

    assert line.isprintable()
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("level", "line"),
    [
        (Level.ERROR, "<3>text"),
        (Level.WARNING, "<4>text"),
        (Level.NOTICE, "<5>text"),
        (Level.INFO, "<6>text"),
    ],
)
def test_on_the_way_to_journald_the_priority_stands_before_the_line(level: Level, line: str) -> None:
    """sd-daemon(3)."""
    assert render("text", level, {}, prefix=True) == line


@pytest.mark.parametrize(
    ("value", "field"),
    [
        pytest.param("10.50.0.1", "F=10.50.0.1", id="a word stands bare"),
        pytest.param("two words", 'F="two words"', id="spaces are quoted"),
        pytest.param('say "no"', r'F="say \"no\""', id="quotes are escaped"),
        pytest.param("a\nb", r'F="a\nb"', id="a line end is escaped"),
        pytest.param("\x1b[2J", r'F="\u001b[2J"', id="an escape sequence is escaped"),
        pytest.param(0, "F=0", id="nought is a value"),
        pytest.param(False, "F=False", id="no is a value"),
        pytest.param("", "", id="an empty value is left out"),
        pytest.param(None, "", id="none is left out"),
    ],
)
def test_a_field_is_quoted_where_it_must_be(value: object, field: str) -> None:
    assert render("text", Level.NOTICE, {"F": value}, prefix=False) == f"notice  text {field}".rstrip()


def test_off_systemd_a_line_is_text_with_the_fields_that_a_reader_wants() -> None:
    log = io.StringIO()

    Journal(log).tell(messages.WITHDRAWING, VIP="10.50.0.1", REASON="gone", FROM="up", TO="down", GENERATION=7)

    assert log.getvalue() == "warning withdrawing VIP=10.50.0.1 REASON=gone\n"


def test_journald_gets_each_field_beside_a_text_that_can_be_read_alone() -> None:
    sent = Sent()

    Journal(send=sent).tell(messages.WITHDRAWING, VIP="10.50.0.1", REASON="no backend", FROM="up", GENERATION=0, TO="")

    assert sent == [
        {
            "MESSAGE": 'withdrawing VIP=10.50.0.1 REASON="no backend"',
            "MESSAGE_ID": messages.WITHDRAWING.id,
            "PRIORITY": 4,
            "SYSLOG_IDENTIFIER": "balanced-director",
            "BALANCED_VIP": "10.50.0.1",
            "BALANCED_REASON": "no backend",
            "BALANCED_FROM": "up",
            "BALANCED_GENERATION": "0",
        }
    ]


def test_a_text_that_is_given_stands_in_place_of_the_messages_own() -> None:
    sent = Sent()

    Journal(send=sent).tell(messages.STATE, text="state of the node: {}\x1b[2J")

    assert sent[0]["MESSAGE"] == "state of the node: {} [2J"


def test_a_condition_is_told_when_it_begins_changes_and_ends_and_not_in_between() -> None:
    log = io.StringIO()
    standing = Standing(Journal(log, prefix=False))

    for reason in ("no answer", "no answer", "refused", "refused"):
        standing.begin(messages.BIRD, reason, PATH="/run/bird.ctl")
    assert standing.all == {"bird": "refused"}
    standing.end(messages.BIRD)
    standing.end(messages.BIRD)

    assert log.getvalue().splitlines() == [
        "warning no answer CONDITION=bird PATH=/run/bird.ctl",
        "warning refused CONDITION=bird PATH=/run/bird.ctl",
        "notice  bird is well again CONDITION=bird",
    ]
    assert standing.all == {}


def test_in_journald_a_condition_has_its_kinds_identifier_and_its_own_name_and_reason() -> None:
    sent = Sent()

    Standing(Journal(send=sent)).begin(messages.SOURCE, "silent", "file", SOURCE="file")

    assert sent[0]["MESSAGE_ID"] == messages.SOURCE.id
    assert sent[0]["BALANCED_CONDITION"] == "source file"
    assert sent[0]["BALANCED_REASON"] == "silent"


def test_the_end_of_what_never_began_is_not_told() -> None:
    log = io.StringIO()

    Standing(Journal(log, prefix=False)).end(messages.BIRD)

    assert not log.getvalue()


def test_one_condition_does_not_end_another_of_its_kind() -> None:
    standing = Standing(Journal(io.StringIO(), prefix=False))

    standing.begin(messages.SOURCE, "no answer", "kubernetes")
    standing.begin(messages.SOURCE, "no such file", "file")
    standing.end(messages.SOURCE, "kubernetes")

    assert standing.all == {"source file": "no such file"}


def test_a_stream_leads_to_journald_where_systemd_says_so_of_this_very_stream(tmp_path: Path) -> None:
    """systemd.exec(5): a variable that a shell handed on says nothing about this stream."""
    with (tmp_path / "stream").open("w") as stream:
        found = os.fstat(stream.fileno())
        this, another = f"{found.st_dev}:{found.st_ino}", f"{found.st_dev}:{found.st_ino + 1}"

        assert leads_to_journald(stream, {"JOURNAL_STREAM": this})
        assert not leads_to_journald(stream, {"JOURNAL_STREAM": another})
        assert not leads_to_journald(stream, {})
    assert not leads_to_journald(io.StringIO(), {"JOURNAL_STREAM": this})


def test_without_the_c_extension_lines_go_to_stderr_with_their_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "systemd", None)
    with (tmp_path / "stderr").open("w+") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        monkeypatch.setattr(sys, "stderr", stream)

        Journal().tell(messages.WITHDRAWING, VIP="10.50.0.1")

    assert (tmp_path / "stderr").read_text() == "<4>withdrawing VIP=10.50.0.1\n"
