"""Plans against a model of the kernel: whatever stands there and wherever a crash cuts, the next pass heals it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.diff import DrainPolicy, ServiceDiff, diff_services, drain_clock
from appliance.decide.expect import LOADING_SCHEDULER
from appliance.model.address import Address
from appliance.model.observed import ObservedService
from appliance.model.plan import (
    AddDestination,
    AddService,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
)
from appliance.model.service import Destination, ServiceKey
from tests.unit.decide.fake_kernel import FakeKernel
from tests.unit.decide.strategies import desired_states, kernels, vips

DRAIN_S = 300.0
Table = dict[ServiceKey, ObservedService]
live_vips = st.frozensets(vips)


@dataclass
class Director:
    """One director at its work: what it wants, the clock, and what it remembers of drains."""

    expected: Mapping[ServiceKey, ObservedService]
    live: frozenset[Address] = frozenset()
    drain: DrainPolicy = field(default_factory=lambda: DrainPolicy(time_s=DRAIN_S))

    def plan(self, observed: Mapping[ServiceKey, ObservedService]) -> ServiceDiff:
        wanted = frozenset(name.vip for name in self.expected)
        diff = diff_services(self.expected, observed, wanted_vips=wanted, live_vips=self.live, drain=self.drain)
        since_s = drain_clock(self.drain.since_s, diff.draining, self.drain.now_s)
        self.drain = replace(self.drain, since_s=since_s)
        return diff

    def wait(self, seconds: float) -> None:
        self.drain = replace(self.drain, now_s=self.drain.now_s + seconds)


def by_identity(service: ObservedService) -> dict[tuple[Address, int], Destination]:
    return {each.identity: each for each in service.destinations}


def serves(table: Table, expected: Mapping[ServiceKey, ObservedService]) -> bool:
    """Every service stands as expected; whatever else stands in it takes no new connections."""
    for name, want in expected.items():
        have = table.get(name)
        if have is None or have.service != want.service:
            return False
        standing = by_identity(have)
        if any(standing.pop(identity, None) != each for identity, each in by_identity(want).items()):
            return False
        if any(left.weight for left in standing.values()):
            return False
    return True


def key_of(step: ServiceStep) -> ServiceKey:
    match step:
        case AddService(service) | SetService(service):
            return service.key
        case RemoveService(name) | AddDestination(name, _) | SetDestination(name, _) | RemoveDestination(name, _):
            return name


def of(name: ServiceKey, steps: Iterable[ServiceStep]) -> list[ServiceStep]:
    return [step for step in steps if key_of(step) == name]


@given(desired_states(), kernels(), live_vips)
def test_i4_after_one_pass_there_is_nothing_left_to_build(
    expected: Table, table: Table, live: frozenset[Address]
) -> None:
    """The kernel refuses no step, everything wanted serves, and drains wait for their clock alone."""
    kernel, director = FakeKernel(table), Director(expected, live)

    kernel.apply(director.plan(table).build)

    assert serves(kernel.dump(), expected)
    assert director.plan(kernel.dump()).build == ()


@given(desired_states(), kernels(), live_vips, st.data())
def test_i4_a_crash_between_any_two_steps_heals_on_the_next_pass(
    expected: Table, table: Table, live: frozenset[Address], data: st.DataObject
) -> None:
    kernel = FakeKernel(table)
    diff = Director(expected, live).plan(table)
    steps = (*diff.build, *diff.teardown)
    kernel.apply(steps[: data.draw(st.integers(0, len(steps)))])

    restarted = Director(expected, live)
    kernel.apply(restarted.plan(kernel.dump()).build)

    assert serves(kernel.dump(), expected)
    assert restarted.plan(kernel.dump()).build == ()


@given(desired_states(), kernels(), live_vips)
def test_i4_after_drain_and_teardown_the_kernel_holds_what_is_wanted_and_no_more(
    expected: Table, table: Table, live: frozenset[Address]
) -> None:
    kernel, director = FakeKernel(table), Director(expected, live)
    kernel.apply(director.plan(table).build)

    director.wait(DRAIN_S)
    last = director.plan(kernel.dump())
    kernel.apply((*last.build, *last.teardown))

    found = kernel.dump()
    assert found.keys() == expected.keys()
    assert all(by_identity(found[name]) == by_identity(want) for name, want in expected.items())
    assert director.plan(found) == ServiceDiff()


@given(desired_states(), kernels(), live_vips)
def test_i4_a_service_that_stands_as_it_should_is_not_touched(
    expected: Table, table: Table, live: frozenset[Address]
) -> None:
    standing = table | dict(list(expected.items())[::2])

    diff = Director(expected, live).plan(standing)

    right = {name for name, want in expected.items() if standing.get(name) == want}
    assert right.isdisjoint(map(key_of, (*diff.build, *diff.teardown)))


@given(desired_states(), kernels(), kernels(), live_vips)
def test_i5_services_that_were_not_handed_over_are_never_touched(
    expected: Table, ours: Table, others: Table, live: frozenset[Address]
) -> None:
    """Foreign services stand in the same kernel before, during and after, as they were."""
    foreign = {name: each for name, each in others.items() if name not in expected and name not in ours}
    kernel, director = FakeKernel(ours | foreign), Director(expected, live)

    diff = director.plan(ours)
    kernel.apply((*diff.build, *diff.teardown))

    assert set(map(key_of, (*diff.build, *diff.teardown))) <= expected.keys() | ours.keys()
    assert {name: kernel.dump()[name] for name in foreign} == foreign


@given(desired_states(), kernels(), live_vips)
def test_i2_what_has_to_wait_for_bird_is_exactly_the_services_on_unwanted_vips(
    expected: Table, table: Table, live: frozenset[Address]
) -> None:
    diff = Director(expected, live).plan(table)

    wanted = {name.vip for name in expected}
    assert {step.key for step in diff.teardown} == {name for name in table if name.vip not in wanted}
    assert {key_of(step).vip for step in diff.build} <= wanted


@given(desired_states(), kernels())
def test_a_new_service_is_loaded_under_rr_and_switched_once(expected: Table, table: Table) -> None:
    """One that runs under rr anyhow, without flags of a scheduler, needs no switch."""
    build = Director(expected).plan(table).build

    for name in expected.keys() - table.keys():
        want = expected[name].service
        first, *rest = of(name, build)
        assert isinstance(first, AddService)
        assert first.service.scheduler == LOADING_SCHEDULER
        switches = [SetService(want)] if first.service != want else []
        assert rest[len(expected[name].destinations) :] == switches
        assert all(isinstance(step, AddDestination) for step in rest[: len(expected[name].destinations)])


@given(desired_states(), kernels())
def test_a_live_service_is_under_its_own_scheduler_before_anything_else_happens_to_it(
    expected: Table, table: Table
) -> None:
    live = frozenset(name.vip for name in expected)

    build = Director(expected, live).plan(table).build

    for name, want in expected.items():
        set_up = [step for step in of(name, build) if isinstance(step, AddService | SetService)]
        right_before = name in table and table[name].service == want.service
        assert [step.service for step in set_up] == ([] if right_before else [want.service])
        assert set_up == of(name, build)[: len(set_up)]


@given(desired_states(), live_vips, st.data())
def test_i9_destinations_of_a_new_service_stand_in_canonical_order_even_after_a_crash(
    expected: Table, live: frozenset[Address], data: st.DataObject
) -> None:
    kernel = FakeKernel({})
    build = Director(expected, live).plan({}).build
    kernel.apply(build[: data.draw(st.integers(0, len(build)))])

    kernel.apply(Director(expected, live).plan(kernel.dump()).build)

    assert kernel.dump() == expected


@given(desired_states(), kernels(), st.lists(st.sampled_from([0.0, 1.0, 150.0, 299.0]), max_size=6))
def test_no_destination_goes_before_it_stood_at_weight_0_for_the_drain_time(
    expected: Table, table: Table, waits_s: list[float]
) -> None:
    kernel, director = FakeKernel(table), Director(expected)
    quiet_since_s: dict[tuple[ServiceKey, Address], float] = {}
    for wait_s in [0.0, *waits_s]:
        director.wait(wait_s)
        build = director.plan(kernel.dump()).build
        now_s = director.drain.now_s
        gone = [(step.key, step.destination.address) for step in build if isinstance(step, RemoveDestination)]
        gone += [
            (step.key, each.address)
            for step in build
            if isinstance(step, RemoveService)
            for each in kernel.dump()[step.key].destinations
        ]
        assert all(now_s - quiet_since_s.get(each, now_s) >= DRAIN_S for each in gone)
        kernel.apply(build)
        for name, service in kernel.dump().items():
            for each in service.destinations:
                if each.weight == 0:
                    quiet_since_s.setdefault((name, each.address), now_s)
