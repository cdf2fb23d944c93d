"""Turns of the probes on a clock that the test moves."""

from collections import Counter
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.checks.rota import Rota
from appliance.model.check import ProbeTarget
from appliance.model.service import Protocol, ServiceKey

KEY = ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80)


def targets(number: int, first: int = 0) -> list[ProbeTarget]:
    return [ProbeTarget(KEY, ip_address(0x0A010000 + first + each)) for each in range(number)]


def turns(rota: Rota, from_s: float, until_s: float, step_s: float = 0.01) -> list[tuple[float, ProbeTarget]]:
    steps = round((until_s - from_s) / step_s)
    return [
        (now_s, each) for now_s in (from_s + number * step_s for number in range(steps)) for each in rota.due(now_s)
    ]


def test_the_first_turn_comes_at_once_and_each_target_has_one_in_each_interval() -> None:
    rota = Rota(1.0, 1000.0)
    rota.add(targets(10))
    assert rota.due(5.0) == targets(1)
    seen = turns(rota, 5.01, 15.0)
    assert set(Counter(target for _, target in seen).values()) <= {9, 10}
    assert set(Counter(target for _, target in seen)) == set(targets(10))


def test_turns_are_spread_evenly_over_the_interval() -> None:
    rota = Rota(1.0, 1000.0)
    rota.add(targets(20))
    per_tenth = Counter(int(now_s * 10 + 1e-6) for now_s, _ in turns(rota, 0.0, 3.0))
    assert max(per_tenth.values()) <= 3


def test_the_limit_stretches_everybodys_interval_alike() -> None:
    rota = Rota(1.0, 100.0)
    rota.add(targets(1000))
    assert rota.interval_s == 10.0
    seen = turns(rota, 0.0, 20.0)
    assert 1980 <= len(seen) <= 2001
    assert set(Counter(target for _, target in seen).values()) <= {1, 2, 3}


def test_turns_that_were_slept_through_are_not_made_up_for() -> None:
    rota = Rota(1.0, 1000.0)
    rota.add(targets(1000))
    rota.due(0.0)
    assert len(rota.due(60.0)) == 50


def test_a_newcomer_has_its_turn_within_an_interval() -> None:
    rota = Rota(1.0, 1000.0)
    rota.add(targets(100))
    turns(rota, 0.0, 5.0)
    newcomer = targets(1, first=500)[0]
    rota.add([newcomer])
    assert newcomer in {target for _, target in turns(rota, 5.0, 6.05)}


def test_a_target_that_leaves_has_no_more_turns_and_one_that_comes_back_has_no_double_ones() -> None:
    rota = Rota(1.0, 1000.0)
    rota.add(targets(4))
    rota.remove(targets(2))
    rota.add(targets(1))
    rota.add(targets(1))
    seen = Counter(target for _, target in turns(rota, 0.0, 10.0))
    gone = targets(2)[1]
    assert gone not in seen
    assert gone not in rota
    assert set(seen) == {*targets(1), *targets(2, first=2)}
    assert max(seen.values()) <= 11


def test_a_rota_of_nobody_rests() -> None:
    rota = Rota(2.0, 1000.0)
    assert rota.due(1.0) == []
    assert rota.next_in_s() == 2.0
    assert len(rota) == 0


@given(
    number=st.integers(1, 300),
    interval_s=st.floats(0.1, 10.0),
    max_per_s=st.floats(1.0, 500.0),
    steps_s=st.lists(st.floats(0.0, 3.0), max_size=50),
)
def test_the_limit_holds_whatever_the_loop_does(
    number: int, interval_s: float, max_per_s: float, steps_s: list[float]
) -> None:
    rota = Rota(interval_s, max_per_s)
    rota.add(targets(number))
    now_s, seen = 0.0, len(rota.due(0.0))
    for step_s in steps_s:
        now_s += step_s
        seen += len(rota.due(now_s))
        assert 0.0 <= rota.next_in_s() <= rota.interval_s
    burst = max(1.0, 0.05 * max_per_s)
    assert seen <= now_s * max_per_s * 1.001 + burst + 1
    assert seen <= (now_s / interval_s + 1) * number * 1.001 + burst + 1


@pytest.mark.parametrize("number", [1, 3, 1000])
def test_the_pause_leads_to_the_next_turn_and_not_past_it(number: int) -> None:
    rota = Rota(1.0, 1000.0)
    rota.add(targets(number))
    rota.due(0.0)
    pause_s = rota.next_in_s()
    assert not rota.due(pause_s * 0.9)
    assert rota.due(pause_s * 1.001)


def test_in_a_hurry_everybody_is_asked_sooner_and_in_the_same_order() -> None:
    rota = Rota(1.0, 1000.0, hurried_s=0.1)
    rota.add(targets(5))
    turns(rota, 0.0, 2.05)
    rota.hurry(2, 2.05)
    hurried = turns(rota, 2.06, 2.3)
    assert 2 * 5 <= len(hurried) <= 2 * 5 + 1, "two rounds, then the usual pace"
    order = [target for _, target in hurried]
    assert set(order[:5]) == set(order[5:10]) == set(targets(5))


def test_in_a_hurry_the_limit_holds_as_well() -> None:
    rota = Rota(1.0, 100.0, hurried_s=0.1)
    rota.add(targets(50))
    turns(rota, 0.0, 2.0)
    rota.hurry(2, 2.0)
    assert len(turns(rota, 2.0, 3.0)) <= 100 + 5


def test_a_hurry_that_could_only_be_slower_changes_nothing() -> None:
    rota = Rota(1.0, 100.0, hurried_s=0.1)
    rota.add(targets(1000))
    turns(rota, 0.0, 2.0)
    rota.hurry(2, 2.0)
    assert 190 <= len(turns(rota, 2.0, 4.0)) <= 201


def test_however_often_packets_get_lost_a_fifth_of_the_time_is_spent_in_a_hurry_at_most() -> None:
    rota = Rota(1.0, 10_000.0, hurried_s=0.1)
    rota.add(targets(10))
    seen = 0
    for number in range(1000):
        now_s = number * 0.01
        rota.hurry(2, now_s)
        seen += len(rota.due(now_s))
    usual, hurried = 10, 100
    assert seen <= 10 * (0.8 * usual + 0.25 * hurried), "a second in a hurry has ten times as many turns"
    assert seen > 10 * usual * 1.5, "the checker would see one that never hurries"
