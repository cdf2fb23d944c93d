"""Selectors of labels, as kubectl -l has them."""

import pytest

from appliance.model.labels import EVERYTHING, parse_selector

LABELS = {"app": "web", "tier": "1"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app == web, tier=1", True),
        ("app!=web", False),
        ("gone!=x", True),
        ("app", True),
        ("gone", False),
        ("!gone", True),
        ("! app", False),
        ("app in (dns, web),!gone", True),
        ("app notin (web)", False),
        ("gone notin (web)", True),
        ("gone=", False),
        ("example.com/app=web", False),
    ],
)
def test_a_selector_matches(text: str, matches: bool) -> None:  # noqa: FBT001 - a value under test
    assert parse_selector(text).matches(LABELS) == matches


def test_nothing_said_selects_everything() -> None:
    assert parse_selector(" ") == EVERYTHING


@pytest.mark.parametrize("text", ["a in (b", "a in b", "=b", "a=b c=d", "!a=b", "a=b,,c", "(a)"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_selector(text)
