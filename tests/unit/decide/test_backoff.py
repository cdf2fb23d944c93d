"""Back-off: growing waits between attempts at what fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.backoff import Backoff, BackoffPolicy, failed, wait_s

POLICY = BackoffPolicy()


@pytest.mark.parametrize(
    ("number", "wait"),
    [(1, 0.2), (2, 0.4), (3, 0.8), (8, 25.6), (9, 30.0), (10_000, 30.0)],
)
def test_fault_26_each_wait_is_twice_the_one_before_up_to_the_longest(number: int, wait: float) -> None:
    assert wait_s(number, POLICY.first_s, POLICY.longest_s) == pytest.approx(wait)


def test_what_failed_is_due_when_its_wait_is_over_and_not_before() -> None:
    state = failed(None, POLICY, 100.0)

    assert not state.due(100.19)
    assert state.due(100.2)
    assert Backoff().due(0.0)


@given(st.lists(st.floats(0, 100), max_size=30))
def test_the_next_attempt_is_never_put_off_for_longer_than_the_longest_wait(pauses_s: list[float]) -> None:
    state, now_s, waited_s = None, 0.0, 0.0
    for pause_s in pauses_s:
        now_s += pause_s
        state = failed(state, POLICY, now_s)
        assert POLICY.first_s <= state.next_s - now_s + 1e-9
        assert state.next_s - now_s <= POLICY.longest_s + 1e-9
        assert state.next_s - now_s >= waited_s - 1e-9
        waited_s = state.next_s - now_s
