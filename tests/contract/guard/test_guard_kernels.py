"""What a director relies on in a guard, fake or real."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from appliance.decide.guard import stands
from appliance.model.guard import FlowLimit, Guard, GuardCounts, ObservedGuard, Refusal
from tests.contract.guard.conftest import Node
from tests.contract.guard.samples import DNS6, LIMITED, NARROW, OFFICE, TLS, WEB, WIDE, key

REJECTING = replace(WIDE, refusal=Refusal.REJECT)
ELSEWHERE = replace(
    WIDE, pools=(ip_network("10.50.0.0/25"), ip_network("10.60.0.0/16"), ip_network("2001:db8::/32")), own=frozenset()
)


def test_without_a_table_nothing_stands_and_nothing_is_counted(node: Node) -> None:
    assert node.guard.read() == ObservedGuard(None, intact=False)
    assert node.guard.counts() == GuardCounts()
    assert not stands(Guard(), node.guard.read())


@pytest.mark.parametrize(
    "guard",
    [
        pytest.param(Guard(), id="nothing at all"),
        pytest.param(NARROW, id="two services"),
        pytest.param(WIDE, id="ranges and limits"),
        pytest.param(REJECTING, id="rejecting"),
        pytest.param(ELSEWHERE, id="other pools"),
        pytest.param(replace(NARROW, rules=frozenset()), id="VIPs whose services are closed"),
        pytest.param(replace(NARROW, pools=(ip_network("0.0.0.0/0"), ip_network("::/0"))), id="everything is a pool"),
    ],
)
def test_i1_a_guard_is_read_as_it_was_made(node: Node, guard: Guard) -> None:
    node.guard.apply(guard)
    assert node.guard.read() == node.guard.read(whole=True) == ObservedGuard(guard, intact=True)
    assert stands(guard, node.guard.read())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(NARROW, WIDE, id="services come"),
        pytest.param(WIDE, NARROW, id="services go"),
        pytest.param(WIDE, WIDE, id="nothing changes"),
        pytest.param(WIDE, replace(WIDE, vips=frozenset(), rules=frozenset()), id="all services go"),
        pytest.param(
            WIDE,
            replace(WIDE, rules=WIDE.rules - {OFFICE} | {replace(OFFICE, sources=(ip_network("192.0.2.128/25"),))}),
            id="a range becomes a part of what it was",
        ),
        pytest.param(
            replace(WIDE, rules=WIDE.rules - {OFFICE} | {replace(OFFICE, sources=(ip_network("192.0.2.128/25"),))}),
            WIDE,
            id="a range becomes wider",
        ),
        pytest.param(
            WIDE,
            replace(WIDE, rules=WIDE.rules - {LIMITED} | {replace(LIMITED, limit=FlowLimit(LIMITED.key, 6))}),
            id="another limit",
        ),
        pytest.param(
            WIDE,
            replace(
                WIDE,
                rules=WIDE.rules - {LIMITED, OFFICE} | {replace(LIMITED, limit=None), replace(OFFICE, sources=None)},
            ),
            id="no limit and no ranges any more",
        ),
        pytest.param(WIDE, REJECTING, id="rejecting instead of dropping"),
        pytest.param(REJECTING, WIDE, id="dropping instead of rejecting"),
        pytest.param(WIDE, ELSEWHERE, id="other pools"),
    ],
)
def test_i4_a_guard_becomes_another_and_its_table_and_counts_stay(node: Node, before: Guard, after: Guard) -> None:
    node.guard.apply(before)
    table = node.table()
    node.guard.apply(after)
    assert node.guard.read() == node.guard.read(whole=True) == ObservedGuard(after, intact=True)
    assert node.table() == table


def test_a_port_that_somebody_opened_is_seen_and_closed_again(node: Node) -> None:
    node.guard.apply(NARROW)
    meddled = node.open_a_port()
    assert node.guard.read() == ObservedGuard(meddled, intact=True)
    assert not stands(NARROW, node.guard.read())
    node.guard.apply(NARROW)
    assert node.guard.read(whole=True) == ObservedGuard(NARROW, intact=True)


def test_a_rule_that_somebody_took_away_is_missed_and_put_back(node: Node) -> None:
    node.guard.apply(NARROW)
    node.take_a_rule_away()
    assert node.guard.read() == ObservedGuard(NARROW, intact=False)
    node.guard.apply(NARROW)
    assert node.guard.read(whole=True) == ObservedGuard(NARROW, intact=True)


def test_every_vip_is_counted_and_those_with_a_limit_twice(node: Node) -> None:
    node.guard.apply(WIDE)
    counts = node.guard.counts()
    assert counts.refused == dict.fromkeys(WIDE.vips, 0)
    assert counts.limited == {LIMITED.key.vip: 0}


def test_a_guard_that_was_removed_is_gone_and_can_come_back(node: Node) -> None:
    node.guard.apply(NARROW)
    node.guard.remove()
    node.guard.remove()
    assert node.guard.read() == ObservedGuard(None, intact=False)
    node.guard.apply(NARROW)
    assert stands(NARROW, node.guard.read())


def test_ports_of_one_service_share_their_limit(node: Node) -> None:
    shared = FlowLimit(WEB.key, 100)
    both = frozenset({replace(WEB, limit=shared), replace(TLS, limit=shared), DNS6})
    guard = replace(NARROW, rules=both, vips=NARROW.vips | {ip_address("10.50.0.9")})
    node.guard.apply(guard)
    assert node.guard.read(whole=True).guard == guard
    assert key("10.50.0.1", 80) == shared.first
