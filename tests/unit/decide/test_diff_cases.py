"""Single cases of the diff that an operator would ask about: drains, retired services, the link."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from appliance.decide.diff import DrainKey, DrainPolicy, ServiceDiff, diff_link, diff_services, drain_clock
from appliance.decide.expect import expect_service
from appliance.model.observed import ObservedLink, ObservedService
from appliance.model.plan import (
    AddAddress,
    AddDestination,
    EnsureLink,
    RemoveAddress,
    RemoveDestination,
    RemoveService,
    SetDestination,
    SetService,
)
from appliance.model.service import Destination, Forwarding, ServiceKey, Tunnel, TunnelType
from tests.unit.decide.values import addr, backend, dest, key, wanted

WEB = key()
TLS = key(port=443)
ONE, TWO = "10.0.0.1", "10.0.0.2"
BOTH = expect_service(wanted(WEB, backend(ONE), backend(TWO)))
ONLY_ONE = expect_service(wanted(WEB, backend(ONE)))
QUIET_TWO = replace(BOTH, destinations=(dest(ONE), dest(TWO, 0)))
DRAINING_TWO: DrainKey = (WEB, addr(TWO), 80)


def compare(
    expected: tuple[ObservedService, ...],
    observed: tuple[ObservedService, ...],
    since_s: Mapping[DrainKey, float] | None = None,
    now_s: float = 1000.0,
    times_s: Mapping[ServiceKey, float] | None = None,
) -> ServiceDiff:
    """The diff with a drain time of 300 s, unless the service has its own, and nothing announced."""
    return diff_services(
        {each.service.key: each for each in expected},
        {each.service.key: each for each in observed},
        wanted_vips=frozenset(each.service.key.vip for each in expected),
        live_vips=frozenset(),
        drain=DrainPolicy(since_s or {}, now_s, 300.0, times_s or {}),
    )


def test_a_vanished_destination_gets_weight_0_first() -> None:
    diff = compare((ONLY_ONE,), (BOTH,))

    assert diff == ServiceDiff((SetDestination(WEB, dest(TWO, 0)),), (), frozenset({DRAINING_TWO}))


@pytest.mark.parametrize(
    "since_s",
    [
        pytest.param({}, id="not on the clock yet: it has just begun"),
        pytest.param({DRAINING_TWO: 700.1}, id="not long enough"),
    ],
)
def test_a_vanished_destination_stays_for_the_drain_time(since_s: dict[DrainKey, float]) -> None:
    diff = compare((ONLY_ONE,), (QUIET_TWO,), since_s)

    assert diff == ServiceDiff((), (), frozenset({DRAINING_TWO}))


def test_a_vanished_destination_goes_after_the_drain_time() -> None:
    diff = compare((ONLY_ONE,), (QUIET_TWO,), {DRAINING_TWO: 700.0})

    assert diff == ServiceDiff((RemoveDestination(WEB, dest(TWO, 0)),))


@pytest.mark.parametrize(
    ("times_s", "over"),
    [
        pytest.param({WEB: 100.0}, True, id="its own time is shorter"),
        pytest.param({WEB: 100.1}, False, id="not quite its own time"),
        pytest.param({WEB: 600.0}, False, id="its own time is longer"),
        pytest.param({TLS: 100.0}, False, id="the time of another service"),
    ],
)
def test_a_service_with_a_drain_time_of_its_own_keeps_to_it(times_s: dict[ServiceKey, float], *, over: bool) -> None:
    diff = compare((ONLY_ONE,), (QUIET_TWO,), {DRAINING_TWO: 900.0}, times_s=times_s)

    assert diff.build == ((RemoveDestination(WEB, dest(TWO, 0)),) if over else ())


def test_with_a_drain_time_of_0_a_vanished_destination_goes_at_once() -> None:
    diff = compare((ONLY_ONE,), (BOTH,), times_s={WEB: 0.0})

    assert diff == ServiceDiff((RemoveDestination(WEB, dest(TWO)),))


def test_a_draining_destination_that_somebody_gave_a_weight_drains_again() -> None:
    diff = compare((ONLY_ONE,), (BOTH,), {DRAINING_TWO: 900.0})

    assert diff.build == (SetDestination(WEB, dest(TWO, 0)),)


def test_a_backend_that_comes_back_takes_connections_again_and_its_drain_is_forgotten() -> None:
    since_s: dict[DrainKey, float] = {DRAINING_TWO: 900.0}

    diff = compare((BOTH,), (QUIET_TWO,), since_s)

    assert diff.build == (SetDestination(WEB, dest(TWO)),)
    assert drain_clock(since_s, diff.draining, 1000.0) == {}


def test_the_drain_clock_keeps_what_was_started_and_starts_what_is_new() -> None:
    """A restart in between changes nothing: the clock is a value that is handed in."""
    new: DrainKey = (WEB, addr(ONE), 80)
    gone: DrainKey = (TLS, addr(ONE), 443)

    clock = drain_clock({DRAINING_TWO: 900.0, gone: 1.0}, {DRAINING_TWO, new}, 1000.0)

    assert clock == {DRAINING_TWO: 900.0, new: 1000.0}


def test_a_backend_that_is_not_ready_stays_at_weight_0_without_a_drain() -> None:
    unready = expect_service(wanted(WEB, backend(ONE), backend(TWO, ready=False)))

    diff = compare((unready,), (BOTH,), now_s=1e9)

    assert diff == ServiceDiff((SetDestination(WEB, dest(TWO, 0)),))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(dest(TWO, 7), id="weight"),
        pytest.param(replace(dest(TWO), forwarding=Forwarding.MASQUERADE), id="forwarding"),
        pytest.param(replace(dest(TWO), tunnel=Tunnel(TunnelType.GUE, 6080)), id="tunnel"),
        pytest.param(replace(dest(TWO), upper_threshold=5), id="threshold"),
    ],
)
def test_whatever_differs_in_a_destination_is_set_right(wrong: Destination) -> None:
    edited = replace(BOTH, destinations=(dest(ONE), wrong))

    assert compare((BOTH,), (edited,)).build == (SetDestination(WEB, dest(TWO)),)


def test_a_changed_scheduler_is_set_without_touching_destinations() -> None:
    edited = replace(BOTH, service=replace(BOTH.service, scheduler="wlc"))

    assert compare((BOTH,), (edited,)).build == (SetService(BOTH.service),)


def test_missing_destinations_are_added_from_the_last_to_the_first() -> None:
    """The kernel puts each at the head, so that the first stands first."""
    empty = replace(BOTH, destinations=())

    assert compare((BOTH,), (empty,)).build == (AddDestination(WEB, dest(TWO)), AddDestination(WEB, dest(ONE)))


def test_a_retired_service_on_a_shared_vip_drains_before_it_goes() -> None:
    """The other service of the VIP keeps it announced, so that there is no silence to wait for."""
    tls = expect_service(wanted(TLS, backend(ONE)))
    draining: DrainKey = (TLS, addr(ONE), 443)

    first = compare((ONLY_ONE,), (ONLY_ONE, tls))
    later = compare((ONLY_ONE,), (ONLY_ONE, tls), {draining: 700.0})

    assert first == ServiceDiff((SetDestination(TLS, dest(ONE, 0, 443)),), (), frozenset({draining}))
    assert later == ServiceDiff((RemoveService(TLS),))


def test_a_retired_service_stays_until_its_last_destination_has_drained() -> None:
    tls = expect_service(wanted(TLS, backend(ONE), backend(TWO)))
    since_s: dict[DrainKey, float] = {(TLS, addr(ONE), 443): 700.0, (TLS, addr(TWO), 443): 800.0}

    diff = compare((ONLY_ONE,), (ONLY_ONE, tls), since_s)

    assert diff.build == (RemoveDestination(TLS, dest(ONE, 1, 443)), SetDestination(TLS, dest(TWO, 0, 443)))


def test_a_retired_service_does_not_wait_for_the_drains_of_others() -> None:
    tls = expect_service(wanted(TLS, backend(ONE)))

    diff = compare((ONLY_ONE,), (QUIET_TWO, tls), {DRAINING_TWO: 900.0, (TLS, addr(ONE), 443): 700.0})

    assert diff == ServiceDiff((RemoveService(TLS),), (), frozenset({DRAINING_TWO}))


def test_i2_a_service_on_an_unwanted_vip_is_left_whole_until_teardown() -> None:
    """Until BIRD is silent the VIP still attracts connections: nothing of it drains."""
    assert compare((), (BOTH,)) == ServiceDiff((), (RemoveService(WEB),))


A, B = addr("10.50.0.1"), addr("10.50.0.2")
FOREIGN = addr("192.0.2.1")


@pytest.mark.parametrize(
    ("observed", "build"),
    [
        pytest.param(ObservedLink(), (EnsureLink(), AddAddress(A), AddAddress(B)), id="link missing"),
        pytest.param(ObservedLink(present=True, addresses=frozenset({A, B})), (EnsureLink(),), id="link down"),
        pytest.param(ObservedLink(present=True, up=True, addresses=frozenset({A})), (AddAddress(B),), id="one missing"),
        pytest.param(ObservedLink(present=True, up=True, addresses=frozenset({A, B})), (), id="all there"),
    ],
)
def test_i4_link_and_addresses_are_built_as_far_as_they_are_missing(observed: ObservedLink, build: object) -> None:
    assert diff_link(frozenset({B, A}), observed, frozenset()) == (build, ())


def test_i2_an_unwanted_address_of_ours_goes_in_the_teardown() -> None:
    link = ObservedLink(present=True, up=True, addresses=frozenset({A, B}))

    assert diff_link(frozenset({A}), link, frozenset({A, B})) == ((), (RemoveAddress(B),))


def test_i5_an_address_outside_our_pools_stays() -> None:
    link = ObservedLink(present=True, up=True, addresses=frozenset({FOREIGN}))

    assert diff_link(frozenset(), link, frozenset()) == ((), ())


def test_i5_no_link_is_made_for_a_node_without_vips() -> None:
    assert diff_link(frozenset(), ObservedLink(), frozenset()) == ((), ())
