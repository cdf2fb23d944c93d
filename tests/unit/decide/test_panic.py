"""Panic hold: when our own probes are not believed."""

from collections.abc import Mapping
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.panic import Panic, PanicPolicy, PanicState, step, trust
from appliance.model.address import Address

POLICY = PanicPolicy()
START: PanicState[str] = PanicState()
VIPS = [ip_address(f"10.50.0.{number}") for number in range(1, 9)]


def targets(vip: Address) -> tuple[str, str]:
    return f"{vip}a", f"{vip}b"


BY_VIP = {vip: targets(vip) for vip in VIPS}
GOOD = {target: True for vip in VIPS for target in targets(vip)}


def failing(*vips: Address) -> dict[str, bool]:
    """Verdicts in which these VIPs have no good target."""
    return GOOD | {target: False for vip in vips for target in targets(vip)}


def after(
    *verdicts: tuple[float, Mapping[str, bool]], by_vip: Mapping[Address, tuple[str, ...]] = BY_VIP
) -> Panic[str]:
    """The last of these steps, the first from a state in which all was well."""
    found = step(START, GOOD, BY_VIP, POLICY, 0.0)
    for now_s, said in verdicts:
        found = step(found.state, said, by_vip, POLICY, now_s)
    return found


@pytest.mark.parametrize(
    ("lost", "is_held"),
    [
        pytest.param(1, False, id="one of eight"),
        pytest.param(4, False, id="half"),
        pytest.param(5, True, id="more than half"),
        pytest.param(8, True, id="all"),
    ],
)
def test_fault_20_more_than_half_lost_at_once_is_not_believed(lost: int, is_held: bool) -> None:  # noqa: FBT001 - a column
    said = failing(*VIPS[:lost])
    found = after((1.0, said))

    assert bool(found.alarm) == is_held
    assert found.verdicts == (GOOD if is_held else said)


def test_losses_within_the_window_add_up_and_are_all_taken_back() -> None:
    """The first four were believed when they came; the fifth shows that it is us."""
    gradual = [(float(number), failing(*VIPS[:number])) for number in range(1, 6)]

    assert after(*gradual[:4]).verdicts == gradual[3][1]
    assert after(*gradual).verdicts == GOOD


def test_losses_that_come_slowly_are_believed_to_the_last() -> None:
    slow = [(20.0 * number, failing(*VIPS[:number])) for number in range(1, 9)]

    assert not any(after(*slow[: number + 1]).alarm for number in range(8))


def test_the_hold_lasts_as_long_as_the_probes_say_so_and_ends_with_them() -> None:
    panic = [(1.0, failing(*VIPS)), (1000.0, failing(*VIPS))]
    assert after(*panic).verdicts == GOOD

    found = after(*panic, (1001.0, failing(*VIPS[:2])))

    assert not found.alarm
    assert found.verdicts == failing(*VIPS[:2])


def test_a_target_that_was_bad_before_stays_bad_under_the_hold() -> None:
    bad = targets(VIPS[0])[0]
    found = after((1.0, GOOD | {bad: False}), (2.0, failing(*VIPS)))

    assert found.verdicts == GOOD | {bad: False}


def test_a_vip_that_keeps_a_good_target_is_judged_as_ever() -> None:
    bad = targets(VIPS[7])[0]
    found = after((1.0, failing(*VIPS[:7])), (2.0, failing(*VIPS[:7]) | {bad: False}))

    assert found.alarm
    assert not found.verdicts[bad]


def test_what_its_source_takes_away_is_no_loss_by_probes() -> None:
    """The source leaves each VIP one backend, which fails already."""
    bad = {targets(vip)[1]: False for vip in VIPS}
    shrunk = {vip: targets(vip)[1:] for vip in VIPS}
    before = after((1.0, GOOD | bad))

    found = step(before.state, bad, shrunk, POLICY, 2.0)

    assert not found.alarm
    assert found.verdicts == bad


def test_of_two_vips_nobody_can_tell_who_is_dead() -> None:
    by_vip = {vip: targets(vip) for vip in VIPS[:2]}
    state = step(START, GOOD, by_vip, POLICY, 0.0).state

    assert not step(state, failing(*VIPS[:2]), by_vip, POLICY, 1.0).alarm


def test_a_person_may_say_that_the_probes_are_right() -> None:
    held = after((1.0, failing(*VIPS)))
    found = step(trust(held.state), failing(*VIPS), BY_VIP, POLICY, 2.0)

    assert not found.alarm
    assert found.verdicts == failing(*VIPS)


def test_the_alarm_counts_and_names() -> None:
    alarm = after((1.0, failing(*VIPS[:5]))).alarm

    assert "5 of 8 VIPs" in alarm
    assert "10.50.0.1 and 4 more" in alarm


sayings = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 3.0, 11.0]), st.sets(st.sampled_from(sorted(GOOD)))), max_size=15
)


@given(sayings)
def test_whatever_the_probes_say_the_hold_only_ever_adds_targets_that_were_good(
    history: list[tuple[float, set[str]]],
) -> None:
    state, now_s, ever_good = START, 0.0, set[str]()
    for pause_s, bad in history:
        now_s += pause_s
        verdicts = {target: target not in bad for target in GOOD}
        ever_good |= {target for target, good in verdicts.items() if good}
        state, effective, alarm = step(state, verdicts, BY_VIP, POLICY, now_s)
        assert effective.keys() == verdicts.keys()
        added = {target for target in GOOD if effective[target] and not verdicts[target]}
        assert added <= ever_good
        assert all(effective[target] for target, good in verdicts.items() if good)
        assert bool(alarm) or not added


@given(sayings)
def test_within_one_window_half_of_the_vips_at_most_are_taken_by_probes(history: list[tuple[float, set[str]]]) -> None:
    state = step(START, GOOD, BY_VIP, POLICY, 0.0).state
    verdicts: Mapping[str, bool] = GOOD
    for _, bad in history:
        state, verdicts, _ = step(state, {target: target not in bad for target in GOOD}, BY_VIP, POLICY, 1.0)
    dead = [vip for vip in VIPS if not any(verdicts[target] for target in targets(vip))]

    assert len(dead) <= len(VIPS) / 2
