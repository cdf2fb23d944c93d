"""Steps are carried out in slices, within a time budget, and every failure keeps its step."""

import errno
from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.diff import DrainPolicy, diff_services
from appliance.decide.expect import expect_service
from appliance.director import build as module
from appliance.director.build import SLICE_STEPS, Built, build, key_of, sliced
from appliance.model.plan import AddDestination, RemoveDestination, ServiceStep, StepResult
from appliance.model.service import ServiceKey
from tests.fakes.kernel import FakeIpvs
from tests.unit.director.harness import VIP, key, web


class TickingClock:
    """A clock that goes on by ``step_s`` whenever the kernel has worked."""

    def __init__(self, step_s: float) -> None:
        self.now_s, self._step_s = 0.0, step_s

    def __call__(self) -> float:
        return self.now_s

    def tick(self) -> None:
        self.now_s += self._step_s


class TimedIpvs(FakeIpvs):
    """A kernel that takes its time, and remembers the slices it was given."""

    def __init__(self, tick: Callable[[], None]) -> None:
        super().__init__()
        self._tick = tick
        self.slices: list[list[ServiceStep]] = []

    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]:
        self._tick()
        self.slices.append(list(steps))
        return super().apply(steps)


def steps_for(services: int, backends: int) -> list[ServiceStep]:
    """What creates this many services with this many backends each."""
    wanted = [expect_service(web(VIP, port, backends=backends)) for port in range(1, services + 1)]
    difference = diff_services(
        {each.service.key: each for each in wanted},
        {},
        wanted_vips=frozenset({VIP}),
        live_vips=frozenset(),
        drain=DrainPolicy(),
    )
    return list(difference.build)


@given(st.lists(st.integers(1, 3 * SLICE_STEPS // 2), max_size=8))
def test_a_slice_never_splits_a_service(sizes: list[int]) -> None:
    """Whatever the sizes: the same steps in the same order, cut only between two services, none of them empty."""
    destination = expect_service(web()).destinations[0]
    steps: list[ServiceStep] = [
        AddDestination(key(port=port), destination) for port, size in enumerate(sizes, start=1) for _ in range(size)
    ]

    slices = sliced(steps)

    assert [step for each in slices for step in each] == steps
    seen: set[ServiceKey] = set()
    for each in slices:
        keys = {key_of(step) for step in each}
        assert keys
        assert not keys & seen
        seen |= keys


def test_a_slice_is_closed_when_it_is_full() -> None:
    slices = sliced(steps_for(services=200, backends=10))

    assert len(slices) > 4
    assert all(SLICE_STEPS <= len(each) < SLICE_STEPS + 13 for each in slices[:-1])


def test_what_the_budget_does_not_reach_is_left_by_whole_services() -> None:
    clock = TickingClock(step_s=0.3)
    ipvs = TimedIpvs(clock.tick)
    steps = steps_for(services=300, backends=10)

    built = build(ipvs, steps, clock, budget_s=0.8)

    assert len(ipvs.slices) == 3, "two are within the budget, the third began within it"
    assert built.touched == ipvs.dump().keys()
    assert built.touched | built.left == {key_of(step) for step in steps}
    assert not built.touched & built.left


def test_however_small_the_budget_the_first_slice_is_done() -> None:
    """Otherwise a slow machine would never get anywhere."""
    clock = TickingClock(step_s=5)
    ipvs = TimedIpvs(clock.tick)

    built = build(ipvs, steps_for(services=300, backends=10), clock, budget_s=0)

    assert len(ipvs.slices) == 1
    assert built.touched
    assert built.left


def test_every_failure_keeps_its_step_and_the_others_are_done() -> None:
    ipvs = FakeIpvs()
    steps = steps_for(services=3, backends=2)
    ipvs.fail_step(6, errno.ENOMEM)

    built = build(ipvs, steps, lambda: 0.0, budget_s=1)

    (failure,) = built.failures
    assert (failure.step, failure.errno) == (steps[5], errno.ENOMEM)
    assert built.failed == {key_of(steps[5])}
    assert built.touched == {key_of(step) for step in steps}
    assert not built.left


def test_what_was_so_already_is_no_failure() -> None:
    ipvs = FakeIpvs()
    steps = steps_for(services=1, backends=1)
    build(ipvs, steps, lambda: 0.0, budget_s=1)
    stranger = replace(expect_service(web()).destinations[0], port=81)

    built = build(ipvs, [*steps, RemoveDestination(key_of(steps[0]), stranger)], lambda: 0.0, budget_s=1)

    assert built.failures == ()
    assert built.failed == frozenset()


def test_nothing_to_do_asks_the_kernel_nothing() -> None:
    ipvs = TimedIpvs(lambda: None)

    assert build(ipvs, [], lambda: 0.0, budget_s=1) == Built()
    assert not ipvs.slices
    assert module.keys_of([]) == frozenset()
