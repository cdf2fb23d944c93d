"""The gate, state by state and evidence by evidence: the whole table, with the exact words."""

from dataclasses import replace

import pytest

from appliance.decide.gate import Evidence, GatePolicy, GateState, Phase, adopted, forgotten, hold_s, step
from tests.unit.decide.strategies import BAD, GOOD

POLICY = GatePolicy(rise=3, max_repairs=3, repair_window_s=2.5)
NOW_S = 100.0

STATES = {
    "fresh": GateState(),
    "proven once": GateState(proofs=1, reason="proven 1 of 3 times"),
    "proven twice": GateState(proofs=2, reason="proven 2 of 3 times"),
    "proven twice, held": GateState(proofs=2, flaps=4, withdrawn_s=99, hold_until_s=103),
    "proven, held": GateState(proofs=3, flaps=4, withdrawn_s=99, hold_until_s=103),
    "proven, hold over": GateState(proofs=3, flaps=4, withdrawn_s=96, hold_until_s=100),
    "down for repairs": GateState(repairs_s=(98, 98.5, 99), flaps=1, withdrawn_s=99, hold_until_s=99),
    "up": GateState(Phase.UP, proofs=3),
    "up, adopted": adopted(99),
    "up, one repair": GateState(Phase.UP, proofs=3, repairs_s=(99,)),
    "up, two repairs": GateState(Phase.UP, proofs=3, repairs_s=(98, 99)),
    "up, two repairs, one just recent": GateState(Phase.UP, proofs=3, repairs_s=(97.5, 99)),
    "up, two old repairs": GateState(Phase.UP, proofs=3, repairs_s=(97, 97.4)),
}
EVIDENCE = {
    "ok": Evidence(GOOD),
    "repaired": Evidence(GOOD, repaired=True),
    "bad": Evidence(BAD),
    "bad in spite of repair": Evidence(BAD, repaired=True),
    "unwanted": Evidence(None),
    "caution": Evidence(replace(GOOD, caution="path MTU too small")),
}

UP, DOWN = Phase.UP, Phase.DOWN
READ_BACK = (UP, 3, GOOD.reason)
ADOPTED = (UP, 0, GOOD.reason)
WITHDRAWN = (DOWN, 0, BAD.reason)
UNWANTED = (DOWN, 0, "no longer wanted")
REFUSED = (DOWN, 0, "path MTU too small")
FROM_ZERO = (DOWN, 0, "proven 0 of 3 times")
UNDONE = (DOWN, 0, "repaired 3 times within 2.5 s: something keeps undoing it")
HELD = (DOWN, 3, "proven, held down 3 s more after 4 flaps")

TABLE = {
    "fresh": ((DOWN, 1, "proven 1 of 3 times"), FROM_ZERO, WITHDRAWN, WITHDRAWN, UNWANTED, REFUSED),
    "proven once": ((DOWN, 2, "proven 2 of 3 times"), FROM_ZERO, WITHDRAWN, WITHDRAWN, UNWANTED, REFUSED),
    "proven twice": (READ_BACK, FROM_ZERO, WITHDRAWN, WITHDRAWN, UNWANTED, REFUSED),
    "proven twice, held": (HELD, FROM_ZERO, WITHDRAWN, WITHDRAWN, UNWANTED, REFUSED),
    "proven, held": (HELD, FROM_ZERO, WITHDRAWN, WITHDRAWN, UNWANTED, REFUSED),
    "proven, hold over": (READ_BACK, FROM_ZERO, WITHDRAWN, WITHDRAWN, UNWANTED, REFUSED),
    "down for repairs": (UNDONE, UNDONE, WITHDRAWN, WITHDRAWN, UNWANTED, UNDONE),
    "up": (READ_BACK, READ_BACK, WITHDRAWN, WITHDRAWN, UNWANTED, READ_BACK),
    "up, adopted": (ADOPTED, ADOPTED, WITHDRAWN, WITHDRAWN, UNWANTED, ADOPTED),
    "up, one repair": (READ_BACK, READ_BACK, WITHDRAWN, WITHDRAWN, UNWANTED, READ_BACK),
    "up, two repairs": (READ_BACK, UNDONE, WITHDRAWN, WITHDRAWN, UNWANTED, READ_BACK),
    "up, two repairs, one just recent": (READ_BACK, UNDONE, WITHDRAWN, WITHDRAWN, UNWANTED, READ_BACK),
    "up, two old repairs": (READ_BACK, READ_BACK, WITHDRAWN, WITHDRAWN, UNWANTED, READ_BACK),
}


def test_the_table_has_a_row_for_every_state_and_a_cell_for_every_evidence() -> None:
    assert TABLE.keys() == STATES.keys()
    assert {len(row) for row in TABLE.values()} == {len(EVIDENCE)}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("found", EVIDENCE)
def test_every_state_meets_every_evidence(state: str, found: str) -> None:
    """Phase, count of proofs and reason are those of the table; the moment of the last change is kept or now."""
    before = STATES[state]

    after = step(before, EVIDENCE[found], POLICY, NOW_S)

    expected = dict(zip(EVIDENCE, TABLE[state], strict=True))[found]
    assert (after.phase, after.proofs, after.reason) == expected
    assert after.announce is (after.phase is UP)
    assert after.since_s == (before.since_s if after.phase is before.phase else NOW_S)


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if state.announce])
@pytest.mark.parametrize("found", ["bad", "bad in spite of repair", "unwanted"])
def test_a_withdrawal_of_an_announced_vip_counts_as_a_flap(name: str, found: str) -> None:
    after = step(STATES[name], EVIDENCE[found], POLICY, NOW_S)

    assert (after.flaps, after.withdrawn_s) == (1, NOW_S)


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if not state.announce])
@pytest.mark.parametrize("found", ["bad", "unwanted"])
def test_a_vip_that_is_down_does_not_flap_and_no_hold_is_prolonged(name: str, found: str) -> None:
    before = STATES[name]

    after = step(before, EVIDENCE[found], POLICY, NOW_S)

    assert (after.flaps, after.withdrawn_s, after.hold_until_s) == (
        before.flaps,
        before.withdrawn_s,
        before.hold_until_s,
    )


@pytest.mark.parametrize(
    ("flaps", "expected_s"),
    [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 32), (8, 60), (9, 60), (10_000, 60)],
)
def test_damping_doubles_from_one_second_to_the_maximum(flaps: int, expected_s: float) -> None:
    assert hold_s(flaps, GatePolicy()) == expected_s


def test_without_free_flaps_the_first_withdrawal_is_damped() -> None:
    assert hold_s(1, GatePolicy(free_flaps=0)) == 1


@pytest.mark.parametrize(
    ("quiet_s", "flaps", "held_s"),
    [pytest.param(120.0, 6, 16.0, id="remembered"), pytest.param(120.1, 1, 0.0, id="forgotten")],
)
def test_withdrawals_far_apart_are_forgotten(quiet_s: float, flaps: int, held_s: float) -> None:
    """The default forgets after 120 s; until then each withdrawal is held down longer than the one before."""
    state = GateState(Phase.UP, flaps=5, withdrawn_s=NOW_S - quiet_s)

    after = step(state, Evidence(BAD), GatePolicy(), NOW_S)

    assert (after.flaps, after.hold_until_s) == (flaps, NOW_S + held_s)


@pytest.mark.parametrize(
    ("state", "now_s", "expected"),
    [
        pytest.param(GateState(), 0.0, True, id="never announced"),
        pytest.param(GateState(withdrawn_s=100, flaps=9), 220.0, False, id="withdrawn 120 s ago"),
        pytest.param(GateState(withdrawn_s=100, flaps=9), 220.1, True, id="withdrawn longer ago"),
        pytest.param(GateState(Phase.UP, withdrawn_s=100), 900.0, False, id="announced"),
    ],
)
def test_what_could_still_damp_a_return_is_not_forgotten(state: GateState, now_s: float, expected: object) -> None:
    assert forgotten(state, GatePolicy(), now_s) is expected


def test_a_hold_longer_than_the_memory_is_kept_to_its_end() -> None:
    policy = GatePolicy(max_hold_s=60, forget_s=10)

    assert not forgotten(GateState(withdrawn_s=100), policy, 160.0)
    assert forgotten(GateState(withdrawn_s=100), policy, 160.1)
