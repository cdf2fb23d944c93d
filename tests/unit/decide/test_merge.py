"""Several sources become one desired state; what is refused is named, and harms nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.merge import merge, replaced
from appliance.model.desired import DesiredService, Note, Problem, Snapshot
from appliance.model.service import ServiceKey
from tests.unit.decide.values import addr, backend, key, net, wanted

POOLS = (net("10.50.0.0/24"), net("2001:db8::/64"))
WEB = wanted(key(), backend("10.0.0.1"), owner="default/web", origin="web.yaml:1")
RIVAL = wanted(key(), backend("10.0.0.9"), owner="default/rival", origin="rival.yaml:7")
TLS = wanted(key(port=443), owner="default/tls")
V6 = wanted(key("2001:db8::1"), owner="default/v6")
OUTSIDE = wanted(key("192.0.2.1"), owner="default/far", origin="far.yaml:3")


def test_services_of_all_sources_come_together() -> None:
    desired = merge([Snapshot("file", (WEB, TLS)), Snapshot("kubernetes", (V6,))], POOLS)

    assert desired.services == {each.key: each for each in (WEB, TLS, V6)}
    assert desired.problems == ()
    assert desired.vips == {addr("10.50.0.1"), addr("2001:db8::1")}


def test_i5_a_vip_outside_the_pools_is_refused_and_its_place_is_named() -> None:
    desired = merge([Snapshot("file", (OUTSIDE, WEB))], POOLS)

    assert desired.services == {WEB.key: WEB}
    (problem,) = desired.problems
    assert str(problem) == (
        "far.yaml:3: vip: 192.0.2.1 is outside the pools of this node"
        " (take an address in 10.50.0.0/24, 2001:db8::/64, or add its network to pools in appliance.yaml)"
    )


def test_i5_without_pools_nothing_is_ours() -> None:
    desired = merge([Snapshot("file", (TLS,))], ())

    assert desired.services == {}
    assert desired.problems[0].where == "service default/tls: vip"
    assert "in none," in desired.problems[0].remedy


@pytest.mark.parametrize("inside", ["10.50.0.0", "10.50.0.255", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"])
def test_i5_the_edges_of_a_pool_belong_to_it(inside: str) -> None:
    service = wanted(key(inside))

    assert merge([Snapshot("file", (service,))], POOLS).services == {service.key: service}


@pytest.mark.parametrize("outside", ["10.49.255.255", "10.50.1.0", "2001:db8:0:1::", "::10.50.0.1", "::ffff:10.50.0.1"])
def test_i5_the_neighbours_of_a_pool_and_look_alikes_of_the_other_family_do_not(outside: str) -> None:
    assert merge([Snapshot("file", (wanted(key(outside)),))], POOLS).services == {}


@pytest.mark.parametrize(
    ("owners", "winner", "loser"),
    [
        pytest.param({}, WEB, RIVAL, id="nobody holds it: the first claim"),
        pytest.param({WEB.key: WEB.owner}, WEB, RIVAL, id="the first holds it"),
        pytest.param({WEB.key: RIVAL.owner}, RIVAL, WEB, id="the second holds it: precedence does not take it away"),
        pytest.param({WEB.key: "default/gone"}, WEB, RIVAL, id="the holder is gone: the first claim"),
        pytest.param({TLS.key: RIVAL.owner}, WEB, RIVAL, id="holds another port"),
    ],
)
@pytest.mark.parametrize(
    "snapshots",
    [
        pytest.param([Snapshot("a", (WEB, RIVAL, TLS))], id="in one source"),
        pytest.param([Snapshot("a", (WEB,)), Snapshot("b", (RIVAL, TLS))], id="in two sources"),
    ],
)
def test_of_two_claims_to_one_vip_and_port_the_holder_keeps_it(
    owners: dict[ServiceKey, str], winner: DesiredService, loser: DesiredService, snapshots: list[Snapshot]
) -> None:
    """The other is refused whole and named; a service on another port of the VIP does not notice."""
    desired = merge(snapshots, POOLS, owners)

    assert desired.services == {WEB.key: winner, TLS.key: TLS}
    (problem,) = desired.problems
    assert str(problem) == (
        f"{loser.origin}: vip: tcp/10.50.0.1:80 is already taken by {winner.owner} at {winner.origin}"
        " (give one of the two another port or VIP)"
    )


def test_a_third_claim_is_refused_as_the_second() -> None:
    desired = merge([Snapshot("file", (WEB, RIVAL, wanted(key(), owner="default/third")))], POOLS)

    assert [each.where for each in desired.problems] == ["rival.yaml:7: vip", "service default/third: vip"]


def test_i3_what_a_source_had_to_refuse_takes_nothing_else_with_it() -> None:
    problem = Problem("bad.yaml:2", "port 0", "write 1 to 65535")

    desired = merge([Snapshot("file", (WEB,), (problem,)), Snapshot("kubernetes", (TLS,))], POOLS)

    assert desired.services.keys() == {WEB.key, TLS.key}
    assert desired.problems == (problem,)


def test_notes_of_all_sources_are_handed_on_and_refuse_nothing() -> None:
    first, second = Note("service default/web", "hrw"), Note("service default/tls", "no VIP yet")

    desired = merge([Snapshot("file", (WEB,), (), (first,)), Snapshot("kubernetes", (TLS,), (), (second,))], POOLS)

    assert (desired.problems, desired.notes) == ((), (first, second))
    assert desired.services.keys() == {WEB.key, TLS.key}


def test_a_refusal_names_the_service_that_is_refused() -> None:
    desired = merge([Snapshot("file", (WEB, RIVAL, OUTSIDE))], POOLS)

    assert [each.owner for each in desired.problems] == ["default/far", "default/rival"]


@given(st.permutations([WEB, RIVAL, TLS, V6, OUTSIDE]))
def test_i7_after_a_restart_every_holder_keeps_what_it_holds(claims: list[DesiredService]) -> None:
    """The order in which the sources are read again decides nothing."""
    first = merge([Snapshot("file", (WEB, RIVAL, TLS, V6, OUTSIDE))], POOLS)
    owners = {name: each.owner for name, each in first.services.items()}

    again = merge([Snapshot("file", tuple(claims))], POOLS, owners)

    assert again.services == first.services


@pytest.mark.parametrize("asks", [{"source_ranges": (net("192.0.2.0/24"),)}, {"new_flows_per_s": 100}])
def test_what_is_asked_for_and_not_enforced_is_said(asks: dict[str, object]) -> None:
    """Whoever writes a range relies on it, also where the guard is disabled."""
    service = replace(WEB, **asks)  # type: ignore[arg-type]  # one field or the other
    assert not merge([Snapshot("file", (service, TLS))], POOLS).notes
    desired = merge([Snapshot("file", (service, TLS))], POOLS, guarded=False)

    (note,) = desired.notes
    assert str(note).startswith("web.yaml:1: source ranges and limits of new flows: everybody reaches tcp/10.50.0.1:80")
    assert replaced(desired, [Snapshot("file", (service, TLS))], [Snapshot("file", (WEB, TLS))]) is None
