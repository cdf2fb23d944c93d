"""What the guard lets through follows from the desired services, and outlasts them as long as their packets come."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.guard import Gaps, GuardPolicy, drift, gaps, guard, stands, terms
from appliance.model.desired import DesiredService
from appliance.model.guard import FlowLimit, Guard, GuardRule, ObservedGuard, Refusal
from appliance.model.service import Protocol
from tests.unit.decide.values import addr, key, net, wanted

POLICY = GuardPolicy((net("10.50.0.0/24"), net("2001:db8::/64")))
WEB, TLS, WEB6 = wanted(key()), wanted(key(port=443)), wanted(key("2001:db8::1"))
OTHER = wanted(key("10.50.0.2"), owner="default/other")


def rules(*services: DesiredService) -> set[GuardRule]:
    return set(guard(services, POLICY).rules)


def test_every_service_gets_through_to_its_own_port_and_every_vip_is_known() -> None:
    found = guard((WEB, TLS, WEB6), POLICY)
    assert found.rules == {GuardRule(WEB.key), GuardRule(TLS.key), GuardRule(WEB6.key)}
    assert found.vips == {addr("10.50.0.1"), addr("2001:db8::1")}
    assert (found.pools, found.refusal) == (POLICY.pools, Refusal.DROP)


def test_a_service_without_backends_is_let_through_too() -> None:
    """IPVS refuses its clients then, and says so; announcing or not is the gate's business."""
    assert rules(replace(WEB, backends=())) == {GuardRule(WEB.key)}


@pytest.mark.parametrize(
    ("ranges", "web", "web6"),
    [
        pytest.param([], [None], [None], id="none: everybody"),
        pytest.param(["192.0.2.0/24"], [("192.0.2.0/24",)], [], id="IPv4 alone closes IPv6"),
        pytest.param(["2001:db8:7::/48"], [], [("2001:db8:7::/48",)], id="IPv6 alone closes IPv4"),
        pytest.param(["0.0.0.0/0"], [None], [], id="all of IPv4 is everybody there"),
        pytest.param(["192.0.2.0/24", "::/0"], [("192.0.2.0/24",)], [None], id="both, each for its own"),
        pytest.param(["192.0.2.0/25", "192.0.2.128/25"], [("192.0.2.0/24",)], [], id="two halves are one range"),
    ],
)
def test_source_ranges_hold_for_the_vips_of_their_ip_version(
    ranges: list[str], web: list[tuple[str, ...] | None], web6: list[tuple[str, ...] | None]
) -> None:
    networks = tuple(map(net, ranges))
    both = [replace(each, source_ranges=networks) for each in (WEB, WEB6)]
    expected = [(WEB.key, each) for each in web] + [(WEB6.key, each) for each in web6]
    found = guard(both, POLICY)
    assert found.rules == {GuardRule(name, None if each is None else tuple(map(net, each))) for name, each in expected}
    assert found.vips == {WEB.key.vip, WEB6.key.vip}


def test_the_ports_of_an_owner_share_a_limit_on_each_of_its_vips() -> None:
    limited = [replace(each, new_flows_per_s=100) for each in (TLS, WEB, WEB6, OTHER)]
    assert rules(*limited) == {
        GuardRule(WEB.key, limit=FlowLimit(WEB.key, 100)),
        GuardRule(TLS.key, limit=FlowLimit(WEB.key, 100)),
        GuardRule(WEB6.key, limit=FlowLimit(WEB6.key, 100)),
        GuardRule(OTHER.key, limit=FlowLimit(OTHER.key, 100)),
    }


def test_a_limit_binds_no_other_owner_on_the_vip() -> None:
    guest = replace(TLS, owner="default/guest")
    assert rules(replace(WEB, new_flows_per_s=1), guest) == {
        GuardRule(WEB.key, limit=FlowLimit(WEB.key, 1)),
        GuardRule(TLS.key),
    }


def test_own_addresses_count_only_inside_the_pools() -> None:
    own = frozenset(map(addr, ("10.50.0.250", "192.0.2.1", "2001:db8::250", "fe80::1")))
    assert guard((), replace(POLICY, own=own)).own == {addr("10.50.0.250"), addr("2001:db8::250")}


def test_i2_what_still_stands_keeps_its_rule_until_it_is_removed() -> None:
    """Routers send packets to a service during the settle time; source ranges hold for them too."""
    ranged = replace(WEB, source_ranges=(net("192.0.2.0/24"),))
    before = guard((ranged, TLS), POLICY)
    ending = guard((TLS,), POLICY, standing={ranged.key, TLS.key}, before=before)
    assert ending == before
    assert guard((TLS,), POLICY, standing={TLS.key}, before=ending).rules == {GuardRule(TLS.key)}


def test_what_is_wanted_goes_before_what_was() -> None:
    before = guard((WEB,), POLICY)
    closed = replace(WEB, source_ranges=(net("192.0.2.0/24"),))
    assert guard((closed,), POLICY, standing={WEB.key}, before=before).rules == {
        GuardRule(WEB.key, (net("192.0.2.0/24"),))
    }


def test_what_stands_in_the_kernel_and_was_never_let_through_stays_closed() -> None:
    foreign = key("10.50.0.1", 22, Protocol.TCP)
    assert guard((WEB,), POLICY, standing={foreign, WEB.key}, before=None).rules == {GuardRule(WEB.key)}


@pytest.mark.parametrize(
    ("observed", "standing"),
    [
        pytest.param(ObservedGuard(), False, id="no table"),
        pytest.param(ObservedGuard(Guard(), intact=False), False, id="a rule was changed"),
        pytest.param(ObservedGuard(replace(Guard(), refusal=Refusal.REJECT), intact=True), False, id="another guard"),
        pytest.param(ObservedGuard(Guard(), intact=True), True, id="as wanted"),
    ],
)
def test_i1_a_guard_stands_only_when_it_was_read_so(observed: ObservedGuard, *, standing: bool) -> None:
    assert stands(Guard(), observed) is standing


TWO = guard((WEB, TLS, WEB6, OTHER), POLICY)


@pytest.mark.parametrize(
    ("observed", "concerned"),
    [
        pytest.param(ObservedGuard(), TWO.vips, id="no table: every VIP"),
        pytest.param(ObservedGuard(TWO), TWO.vips, id="a rule was changed: every VIP"),
        pytest.param(ObservedGuard(replace(TWO, own=frozenset({addr("10.50.0.9")})), intact=True), TWO.vips, id="own"),
        pytest.param(ObservedGuard(replace(TWO, pools=()), intact=True), TWO.vips, id="pools: every VIP"),
        pytest.param(ObservedGuard(guard((WEB, TLS, WEB6), POLICY), intact=True), {OTHER.key.vip}, id="one VIP lacks"),
        pytest.param(ObservedGuard(guard((WEB, WEB6, OTHER), POLICY), intact=True), {TLS.key.vip}, id="one port lacks"),
        pytest.param(ObservedGuard(TWO, intact=True), set(), id="as wanted: none"),
    ],
)
def test_a_gap_concerns_the_vips_that_it_is_about(observed: ObservedGuard, concerned: set[object]) -> None:
    found = gaps(TWO, observed)
    assert {vip for vip in TWO.vips if found.of(vip)} == concerned
    assert bool(found) == bool(concerned) == (not stands(TWO, observed))
    assert not Gaps()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        pytest.param(ObservedGuard(), "table gone or its rules changed -> as it was made", id="no table"),
        pytest.param(ObservedGuard(guard((WEB, WEB6, OTHER), POLICY), True), f"{TLS.key}: closed -> open", id="closed"),
        pytest.param(
            ObservedGuard(guard((replace(WEB, source_ranges=(net("192.0.2.0/24"),)), TLS, WEB6, OTHER), POLICY), True),
            f"{WEB.key}: open to 1 networks -> open",
            id="narrowed",
        ),
        pytest.param(
            ObservedGuard(guard((replace(WEB, new_flows_per_s=7), TLS, WEB6, OTHER), POLICY), True),
            f"{WEB.key}: open, 7 new flows a second -> open",
            id="limited",
        ),
        pytest.param(
            ObservedGuard(replace(TWO, vips=frozenset()), True),
            "its VIPs, pools or own addresses changed -> as they were",
            id="VIPs",
        ),
        pytest.param(
            ObservedGuard(replace(TWO, rules=frozenset()), True),
            f"{WEB.key}: closed -> open, {TLS.key}: closed -> open, {OTHER.key}: closed -> open, 1 more",
            id="many: three, and how many more",
        ),
    ],
)
def test_drift_is_told_old_to_new(made: ObservedGuard, told: str) -> None:
    assert drift(TWO, made) == told


def test_the_guard_goes_by_a_services_owner_ranges_and_limit_alone() -> None:
    assert terms(WEB) == terms(replace(WEB, backends=(), scheduler="rr", drain_s=1.0))
    asked = (None, WEB, replace(WEB, owner="x"), replace(WEB, source_ranges=(net("192.0.2.0/24"),)))
    others = (replace(WEB, new_flows_per_s=1),)
    assert len({terms(each) for each in (*asked, *others)}) == len(asked) + len(others)


services = st.builds(
    lambda one, owner, ranges, per_s: replace(one, owner=owner, source_ranges=tuple(ranges), new_flows_per_s=per_s),
    st.sampled_from([WEB, TLS, WEB6, OTHER]),
    st.text(),
    st.lists(st.sampled_from([net("192.0.2.0/24"), net("192.0.0.0/16"), net("2001:db8:7::/48")]), unique=True),
    st.none() | st.integers(1, 3),
)


@given(st.lists(services, unique_by=lambda each: each.key), st.randoms())
def test_i6_the_order_of_services_makes_no_difference(wishes: list[DesiredService], chance: st.DataObject) -> None:
    shuffled = list(wishes)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types st.randoms() as the strategy's data
    assert guard(wishes, POLICY) == guard(shuffled, POLICY)
