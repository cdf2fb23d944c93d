"""The gate over whole histories: what holds whatever happens, and what a flapping VIP costs the routers."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import example, given

from appliance.decide.gate import Evidence, GatePolicy, GateState, adopted, hold_s, step
from tests.unit.decide.strategies import BAD, GOOD, passes, policies

Passes = list[tuple[float, Evidence]]


@dataclass(frozen=True)
class Moment:
    """One pass of a history: what was, what was found, what came of it."""

    before: GateState
    evidence: Evidence
    after: GateState
    now_s: float

    @property
    def opened(self) -> bool:
        return self.after.announce and not self.before.announce

    @property
    def closed(self) -> bool:
        return self.before.announce and not self.after.announce


def replay(state: GateState, history: Passes, policy: GatePolicy) -> Iterator[Moment]:
    now_s = 0.0
    for wait_s, evidence in history:
        now_s += wait_s
        after = step(state, evidence, policy, now_s)
        yield Moment(state, evidence, after, now_s)
        state = after


def good(evidence: Evidence) -> bool:
    return evidence.proof is not None and evidence.proof.ok


@given(passes, policies)
def test_i1_a_vip_opens_only_after_rise_clean_proofs_in_a_row_since_its_withdrawal(
    history: Passes, policy: GatePolicy
) -> None:
    """A proof that held only after a repair in the same pass is not a clean one."""
    clean = 0
    for moment in replay(GateState(), history, policy):
        clean = clean + 1 if good(moment.evidence) and not moment.evidence.repaired else 0
        if moment.opened:
            assert clean >= policy.rise
        if moment.closed:
            clean = 0


@given(passes, policies)
def test_i1_nothing_but_a_good_proof_leaves_a_vip_announced(history: Passes, policy: GatePolicy) -> None:
    """Withdrawals are never delayed, whatever the damping: a bad proof closes in the same step."""
    for start in (GateState(), adopted(0)):
        for moment in replay(start, history, policy):
            assert not moment.after.announce or good(moment.evidence)


@given(passes, policies)
def test_what_is_repaired_again_and_again_is_not_announced(history: Passes, policy: GatePolicy) -> None:
    repairs_s: list[float] = []
    for moment in replay(adopted(0), history, policy):
        if moment.evidence.repaired:
            repairs_s.append(moment.now_s)
        recent = [at for at in repairs_s if moment.now_s - at <= policy.repair_window_s]
        assert not moment.after.announce or len(recent) < policy.max_repairs


@given(passes, policies)
def test_a_withdrawn_vip_stays_down_as_long_as_its_damping_says(history: Passes, policy: GatePolicy) -> None:
    flaps, hold_until_s, withdrawn_s = 0, float("-inf"), float("-inf")
    for moment in replay(adopted(0), history, policy):
        if moment.closed:
            flaps = flaps + 1 if moment.now_s - withdrawn_s <= policy.forget_s else 1
            withdrawn_s = moment.now_s
            hold_until_s = moment.now_s + hold_s(flaps, policy)
        assert moment.after.flaps == flaps
        assert not moment.opened or moment.now_s >= hold_until_s


@given(passes, policies)
def test_the_memory_of_the_gate_is_bounded(history: Passes, policy: GatePolicy) -> None:
    for moment in replay(GateState(), history, policy):
        assert len(moment.after.repairs_s) <= policy.max_repairs
        assert 0 <= moment.after.proofs <= policy.rise


@given(passes, policies)
def test_no_history_locks_a_vip_out_for_good(history: Passes, policy: GatePolicy) -> None:
    """After the longest hold and the repair window, ``rise`` clean proofs open the gate."""
    quiet_s = max(policy.max_hold_s, policy.repair_window_s) + 0.1
    recovery: Passes = [(quiet_s, Evidence(GOOD))] + [(0.1, Evidence(GOOD))] * (policy.rise - 1)

    *_, last = replay(adopted(0), history + recovery, policy)

    assert last.after.announce


@given(passes, policies)
@example([(5.0, Evidence(GOOD))] * 3, GatePolicy())
def test_i7_an_adopted_vip_is_not_announced_anew_while_its_proofs_hold(history: Passes, policy: GatePolicy) -> None:
    """No flap, no new start of the announcement: a restart is invisible to the routers."""
    clean = [(wait_s, Evidence(GOOD)) for wait_s, _ in history]

    for moment in replay(adopted(7.0), clean, policy):
        assert moment.after.announce
        assert (moment.after.since_s, moment.after.flaps) == (7.0, 0)


def test_i7_an_adopted_vip_whose_first_proof_is_bad_goes_at_once() -> None:
    after = step(adopted(7.0), Evidence(BAD), GatePolicy(), 7.1)

    assert not after.announce
    assert (after.since_s, after.reason) == (7.1, BAD.reason)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(GateState(), id="never announced"),
        pytest.param(step(adopted(0), Evidence(BAD), GatePolicy(), 0), id="announced before"),
    ],
)
def test_a_bad_proof_during_the_rise_starts_the_count_anew(start: GateState) -> None:
    history = [(1.0, Evidence(proof)) for proof in (GOOD, GOOD, BAD, GOOD, GOOD, GOOD)]

    announced = [moment.after.announce for moment in replay(start, history, GatePolicy(rise=3))]

    assert announced == [False, False, False, False, False, True]


FLAP_10_HZ: Passes = ([(0.01, Evidence(BAD))] * 5 + [(0.01, Evidence(GOOD))] * 5) * 10 * 300


def flapping(policy: GatePolicy) -> tuple[list[float], list[float]]:
    """When an announced VIP that flaps at 10 Hz for five minutes is withdrawn, and when it is announced again."""
    moments = list(replay(adopted(0), FLAP_10_HZ, policy))
    return [each.now_s for each in moments if each.closed], [each.now_s for each in moments if each.opened]


def busiest_minute(times_s: list[float]) -> int:
    """The largest number of these moments that fall into any 60 s."""
    return max(sum(1 for each in times_s if start_s <= each < start_s + 60) for start_s in times_s)


def test_proofs_of_one_moment_count_once() -> None:
    """A dozen passes between two flaps prove nothing that one of them does not."""
    policy = GatePolicy(rise=3, apart_s=0.2)
    history = [(0.01, Evidence(GOOD))] * 50

    announced = [moment.after.announce for moment in replay(GateState(), history, policy)]

    assert announced.index(True) == 40


def test_a_vip_flapping_at_10_hz_is_announced_at_most_six_times_a_minute() -> None:
    """The default policy: after a free flap, holds of 1, 2, 4, 8, 16, 32 s, then 60 s."""
    withdrawn_s, announced_s = flapping(GatePolicy())

    assert withdrawn_s[0] == pytest.approx(0.01)
    assert [int(each) for each in announced_s] == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert busiest_minute(announced_s) == 6


def test_a_vip_that_goes_on_flapping_costs_at_most_six_updates_a_minute() -> None:
    """Once the hold has reached 8 s withdrawals and announcements together stay within six a minute."""
    withdrawn_s, announced_s = flapping(GatePolicy())

    assert busiest_minute([each for each in withdrawn_s + announced_s if each > 10]) <= 6


def test_an_initial_hold_of_twenty_seconds_keeps_every_minute_within_six_updates() -> None:
    withdrawn_s, announced_s = flapping(GatePolicy(initial_hold_s=20))

    assert busiest_minute(withdrawn_s + announced_s) <= 6
