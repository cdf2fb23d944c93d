"""Log lines: one for each transition, none that a value could break in two."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.telemetry.journal import Journal, Level, Standing, render

texts = st.text(st.characters(blacklist_categories=["Cs"]) | st.sampled_from("\n\r\x1b\x85\u2028\x00"), max_size=30)


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
def test_under_systemd_the_priority_stands_before_the_line(level: Level, line: str) -> None:
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


@pytest.mark.parametrize(("environment", "prefix"), [({"JOURNAL_STREAM": "8:1"}, "<5>"), ({}, "notice  ")])
def test_systemd_is_recognized_by_its_environment(
    environment: dict[str, str], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    log = io.StringIO()

    Journal(log).notice("announcing", VIP="10.50.0.1")

    assert log.getvalue() == f"{prefix}announcing VIP=10.50.0.1\n"


def test_a_condition_is_told_when_it_begins_changes_and_ends_and_not_in_between() -> None:
    log = io.StringIO()
    standing = Standing(Journal(log, prefix=False))

    for message in ("no answer", "no answer", "refused", "refused"):
        standing.begin("bird", message, PATH="/run/bird.ctl")
    assert standing.all == {"bird": "refused"}
    standing.end("bird")
    standing.end("bird")

    assert log.getvalue().splitlines() == [
        "warning no answer CONDITION=bird PATH=/run/bird.ctl",
        "warning refused CONDITION=bird PATH=/run/bird.ctl",
        "notice  bird is well again CONDITION=bird",
    ]
    assert standing.all == {}


def test_the_end_of_what_never_began_is_not_told() -> None:
    log = io.StringIO()

    Standing(Journal(log, prefix=False)).end("bird")

    assert not log.getvalue()


def test_one_condition_does_not_end_another() -> None:
    standing = Standing(Journal(io.StringIO(), prefix=False))

    standing.begin("bird", "no answer")
    standing.begin("routes", "no route")
    standing.end("bird")

    assert standing.all == {"routes": "no route"}
