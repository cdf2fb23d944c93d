"""A VIP may be taken apart only after BIRD was seen silent about it for the whole settle time (I2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.teardown import settled, silent_since
from appliance.model.routing import PeerView, Routing
from tests.unit.decide.values import addr

A, B = addr("10.50.0.1"), addr("10.50.0.2")
BOTH = frozenset({A, B})
SILENT = Routing("2.17", peers=(PeerView("r1", established=True),))
HELD = Routing("2.17", held=frozenset({A}))
TOLD = Routing("2.17", peers=(PeerView("r1", established=True), PeerView("r2", established=True, exported=BOTH)))
TOLD_LATELY = Routing("2.17", peers=(PeerView("r1", established=False, exported=BOTH),))


def test_i2_silence_begins_when_bird_is_first_seen_silent() -> None:
    assert silent_since({}, BOTH, SILENT, 100.0) == {A: 100.0, B: 100.0}
    assert silent_since({A: 90.0}, BOTH, SILENT, 100.0) == {A: 90.0, B: 100.0}


@pytest.mark.parametrize(
    "routing",
    [
        pytest.param(HELD, id="it stands in our static protocol, told to nobody"),
        pytest.param(TOLD, id="one of two peers is told"),
        pytest.param(TOLD_LATELY, id="told to a peer whose session is down"),
        pytest.param(None, id="BIRD cannot be read"),
    ],
)
def test_i2_nothing_is_settled_unless_bird_is_read_to_be_silent(routing: Routing | None) -> None:
    """However long it had been silent before."""
    silent = silent_since({A: 0.0}, [A], routing, 100.0)

    assert settled(silent, settle_s=1.0, now_s=100.0) == frozenset()


def test_i2_after_an_export_or_a_missing_reading_the_silence_starts_anew() -> None:
    """While BIRD could not be read it may have undone its configuration and announced the VIP again."""
    for interruption in (TOLD, None):
        silent = silent_since({A: 0.0}, [A], interruption, 100.0)

        assert silent_since(silent, [A], SILENT, 101.0) == {A: 101.0}


def test_a_vip_that_is_wanted_again_is_no_candidate_and_forgotten() -> None:
    assert silent_since({A: 90.0, B: 90.0}, [B], SILENT, 100.0) == {B: 90.0}


@pytest.mark.parametrize(
    ("now_s", "expected"),
    [
        pytest.param(101.9, frozenset(), id="before the settle time"),
        pytest.param(102.0, frozenset({A}), id="after it"),
        pytest.param(103.0, BOTH, id="both"),
    ],
)
def test_i2_a_vip_is_settled_after_the_settle_time(now_s: float, expected: frozenset[object]) -> None:
    assert settled({A: 100.0, B: 101.0}, 2.0, now_s) == expected


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.4, 1.0, 3.0]), st.sampled_from([SILENT, HELD, TOLD, None]))))
def test_i2_whatever_bird_does_only_unbroken_silence_settles(history: list[tuple[float, Routing | None]]) -> None:
    silent, now_s, spoke_s = silent_since({}, [A], TOLD, 0.0), 0.0, 0.0
    first_silent_s: float | None = None
    for wait_s, routing in history:
        now_s += wait_s
        silent = silent_since(silent, [A], routing, now_s)
        if routing is not SILENT:
            spoke_s, first_silent_s = now_s, None
        elif first_silent_s is None:
            first_silent_s = now_s
        expected = first_silent_s is not None and now_s - first_silent_s >= 1.0
        assert (A in settled(silent, 1.0, now_s)) is expected
        assert not expected or now_s - spoke_s >= 1.0
