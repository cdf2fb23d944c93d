"""The fight detector: how often something is undone, and what is done about it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.fight import Fight, FightPolicy, calmed, mended, over, suspect, undone, worth_telling

POLICY = FightPolicy()


def history(*undone_s: float, repair_s: float = 0.1) -> Fight:
    """What is remembered of a thing that was undone at these times, and repaired as soon as it may be."""
    state: Fight | None = None
    for at_s in undone_s:
        state = undone(state, POLICY, at_s)
        state = mended(state, max(at_s + repair_s, state.next_s))
    assert state is not None
    return state


@pytest.mark.parametrize(
    ("undone_s", "fighting", "told"),
    [
        pytest.param((0.0,), False, False, id="once: repaired"),
        pytest.param((0.0, 1.0), False, False, id="twice: repaired"),
        pytest.param((0.0, 2.0, 4.0), True, True, id="every two seconds: a fight at the third time"),
        pytest.param((0.0, 3.0, 6.0), True, True, id="three times within the window, to the second"),
        pytest.param((0.0, 4.0, 8.0), False, True, id="every four seconds: repaired each time, and told"),
        pytest.param((0.0, 30.0, 60.0), False, True, id="every half minute: repaired each time, and told"),
        pytest.param((0.0, 90.0, 180.0), False, False, id="now and then: repaired"),
    ],
)
def test_fault_46_a_fight_is_what_is_undone_three_times_within_six_seconds(
    undone_s: tuple[float, ...],
    fighting: bool,  # noqa: FBT001 - a column of the table
    told: bool,  # noqa: FBT001 - as above
) -> None:
    state = history(*undone_s)

    assert state.fighting == fighting
    assert worth_telling(state, POLICY) == told


def test_what_is_seen_undone_again_and_again_before_it_is_repaired_was_undone_once() -> None:
    state = undone(None, POLICY, 0.0)
    for look in range(1, 50):
        state = undone(state, POLICY, look / 10)

    assert state.undone_s == (0.0,)
    assert not state.fighting


def test_in_a_fight_each_wait_is_twice_the_one_before_up_to_a_minute() -> None:
    state: Fight | None = None
    now_s, waits_s = 0.0, []
    for _ in range(12):
        state = undone(state, POLICY, now_s)
        if state.fighting:
            waits_s.append(state.next_s - now_s)
        now_s = max(state.next_s, now_s)
        state = mended(state, now_s)
        now_s += 1.0

    assert waits_s == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_while_it_waits_nothing_is_repaired() -> None:
    state = undone(history(0.0, 1.0), POLICY, 2.0)

    assert not state.may_repair(2.9)
    assert state.may_repair(3.0)


def test_a_fight_is_over_once_a_repair_has_held() -> None:
    state = history(0.0, 1.0, 2.0)
    assert state.mended_s == 3.0

    assert calmed(state, POLICY, 3.0 + POLICY.calm_s - 0.1).fighting
    assert not calmed(state, POLICY, 3.0 + POLICY.calm_s).fighting


def test_what_is_broken_never_calms_down_by_itself() -> None:
    state = undone(history(0.0, 1.0), POLICY, 2.0)

    assert calmed(state, POLICY, 1000.0).fighting
    assert not over(state, POLICY, 1000.0)


def test_what_was_undone_long_ago_is_forgotten() -> None:
    state = history(0.0)

    assert not over(state, POLICY, POLICY.remember_s)
    assert over(state, POLICY, POLICY.remember_s + 1)


@pytest.mark.parametrize(
    ("in_ipvs", "kube_proxy", "named"),
    [
        pytest.param(True, True, "kube-proxy in IPVS mode", id="services go where kube-proxy's link is"),
        pytest.param(True, False, "keepalived", id="services go"),
        pytest.param(False, True, "network manager", id="addresses go: kube-proxy leaves our link alone"),
        pytest.param(False, False, "network manager", id="addresses go"),
    ],
)
def test_fault_46_the_alarm_says_who_it_probably_is(
    in_ipvs: bool,  # noqa: FBT001 - a column of the table
    kube_proxy: bool,  # noqa: FBT001 - as above
    named: str,
) -> None:
    assert named in suspect(in_ipvs=in_ipvs, kube_proxy=kube_proxy)


@given(st.lists(st.floats(0.01, 200), min_size=1, max_size=60))
def test_however_often_it_is_undone_repairs_are_bounded(gaps_s: list[float]) -> None:
    """Whoever undoes each repair after a pause of his own: of three repairs in a row two are a wait apart."""
    state: Fight | None = None
    now_s, repairs_s = 0.0, []
    for gap_s in gaps_s:
        state = undone(calmed(state, POLICY, now_s) if state else None, POLICY, now_s)
        assert state.next_s - now_s <= POLICY.longest_s
        now_s = max(now_s, state.next_s)
        state = mended(state, now_s)
        repairs_s.append(now_s)
        now_s += gap_s
    for first, third in zip(repairs_s, repairs_s[2:], strict=False):
        assert third - first >= POLICY.first_s
    assert all(later >= earlier for earlier, later in pairwise(repairs_s))
