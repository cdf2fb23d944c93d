"""The guard of a whole director: in force before anything is announced, repaired, part of the proof."""

import asyncio
import errno
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from appliance.director.status import status
from appliance.model.address import Address
from appliance.model.guard import Guard, GuardRule, Refusal
from tests.fakes.guard import FakeGuard
from tests.unit.director.harness import OTHER_VIP, POOL, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
OFFICE = ip_network("192.0.2.0/24")


@pytest.fixture
def guard(node: Node) -> FakeGuard:
    node.guard = FakeGuard()
    return node.guard


def standing(guard: FakeGuard) -> Guard | None:
    return guard.read().guard


def rules(guard: FakeGuard) -> set[GuardRule]:
    found = standing(guard)
    return set(found.rules) if found is not None else set()


def announced(node: Node, *vips: Address) -> Callable[[], bool]:
    return lambda: node.router.held == frozenset(vips)


async def for_s(seconds: float) -> None:
    await asyncio.sleep(seconds)


def test_i1_a_vip_is_announced_only_once_its_guard_was_read_to_stand(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        for number in range(1, 4):
            guard.fail_step(number, errno.ENOMEM)
        node.want(web())
        async with node.running() as director:
            await until(lambda: director.context.memory.gates.get(VIP))
            assert "guard" in director.context.memory.gates[VIP].reason
            assert "guard" in director.context.standing.all
            await until(announced(node, VIP))
            assert rules(guard) == {GuardRule(key())}
            assert "guard" not in director.context.standing.all

    play(story())


def test_a_guard_that_says_yes_and_does_nothing_is_not_believed(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        for number in range(1, 1000):
            guard.swallow_step(number)
        node.want(web())
        async with node.running():
            await for_s(10.0)
            assert not node.router.held

    play(story())


def test_a_flushed_ruleset_is_repaired_and_nothing_is_withdrawn(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(announced(node, VIP))
            await for_s(3.0)
            published = len(node.router.history)
            guard.flush()
            assert await until(lambda: rules(guard)) <= node.settings.canary_s + 0.1
            await for_s(3.0)
            assert len(node.router.history) == published
        assert "repairing: the guard of the VIPs was changed" in node.log.getvalue()
        assert "table gone or its rules changed -> as it was made" in node.log.getvalue()

    play(story())


def test_an_opened_port_is_closed_again_and_told_old_to_new(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(announced(node, VIP))
            before = standing(guard)
            assert before is not None
            guard.meddle(replace(before, rules=before.rules | {GuardRule(key(port=22))}))
            await until(lambda: rules(guard) == {GuardRule(key())}, 1.0)
            await for_s(1.0)
            assert node.router.held == {VIP}
        assert "tcp/10.50.0.1:22: open -> closed" in node.log.getvalue()

    play(story())


def test_an_announced_vip_whose_guard_cannot_be_repaired_is_withdrawn_and_comes_back(
    node: Node, guard: FakeGuard, play: Play
) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(announced(node, VIP))
            await for_s(1.0)
            for number in range(1, 5):
                guard.fail_step(number, errno.ENOMEM)
            guard.flush()
            await until(announced(node), 1.0)
            assert "guard" in director.context.standing.all
            await until(announced(node, VIP), 20.0)

    play(story())


def test_a_service_that_cannot_be_let_through_yet_concerns_its_own_vip_alone(
    node: Node, guard: FakeGuard, play: Play
) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(announced(node, VIP))
            published = len(node.router.history)
            for number in range(1, 5):
                guard.fail_step(number, errno.ENOMEM)
            node.want(web(), web(OTHER_VIP))
            await for_s(1.0)
            assert len(node.router.history) == published
            await until(announced(node, VIP, OTHER_VIP), 20.0)

    play(story())


def test_a_guard_that_cannot_be_read_holds_everything(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(announced(node, VIP))
            guard.fail_readings(errno.ENOBUFS)
            await for_s(12.0)
            assert node.router.held == {VIP}
            assert "guard" in director.context.standing.all
            guard.fail_readings(0)
            await until(lambda: "guard" not in director.context.standing.all)

    play(story())


def test_one_that_flushes_all_the_time_is_a_fight(node: Node, guard: FakeGuard, play: Play) -> None:
    """It is told who it may be, VIPs are withdrawn, repairs grow rare; at its end all comes back."""

    async def flush_for_ever() -> None:
        while True:
            guard.flush()
            await asyncio.sleep(0.3)

    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(announced(node, VIP))
            enemy = asyncio.create_task(flush_for_ever())
            await until(announced(node), 5.0)
            assert "flush ruleset" in director.context.standing.all["guard fight"]
            made = guard.replaced
            await for_s(30.0)
            assert guard.replaced - made <= 6
            assert not node.router.held
            enemy.cancel()
            await until(announced(node, VIP), 90.0)
            await until(lambda: "guard fight" not in director.context.standing.all, 200.0)

    play(story())


def test_changed_source_ranges_and_limits_are_in_force_in_one_pass(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(announced(node, VIP))
            published = len(node.router.history)
            node.want(replace(web(), source_ranges=(OFFICE,)))
            await until(lambda: rules(guard) == {GuardRule(key(), (OFFICE,))}, 0.1)
            node.want(replace(web(), new_flows_per_s=5))
            await until(lambda: [rule.limit.per_s for rule in rules(guard) if rule.limit] == [5], 0.1)
            await for_s(2.0)
            assert len(node.router.history) == published

    play(story())


def test_the_status_says_how_the_guard_stands_and_who_gets_through(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        ranged = replace(web(port=443), source_ranges=(OFFICE,))
        closed = replace(web(port=8080), source_ranges=(ip_network("2001:db8::/32"),))
        node.want(web(), ranged, closed, replace(web(OTHER_VIP), new_flows_per_s=5))
        async with node.running() as director:
            await until(announced(node, VIP, OTHER_VIP))
            told = status(director.context, "0.1.0")
            assert told.guard == "in force: 3 ports open, 1 to some clients only, 1 with a limit of new flows"
            assert [vip.limits for vip in told.vips] == [
                ("tcp/443: from 192.0.2.0/24 only", "tcp/8080: closed to all of this IP version"),
                ("tcp/80: at most 5 new flows a second",),
            ]
            for number in range(1, 5):
                guard.fail_step(number, errno.ENOMEM)
            guard.flush()
            await until(lambda: "missing in the kernel" in status(director.context, "0.1.0").guard)

    play(story())


def test_without_a_guard_the_status_says_what_that_means(node: Node, play: Play) -> None:
    async def story() -> None:
        node.want(replace(web(), new_flows_per_s=5))
        async with node.running() as director:
            await until(announced(node, VIP))
            told = status(director.context, "0.1.0")
            assert "disabled" in told.guard
            assert told.vips[0].limits == ()

    play(story())


def test_backends_that_come_and_go_leave_the_guard_alone(node: Node, guard: FakeGuard, play: Play) -> None:
    """It is not even worked out anew."""

    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(announced(node, VIP))
            wanted = director.context.memory.guard.wanted
            node.want(web(backends=4))
            await for_s(1.0)
            assert director.context.memory.guard.wanted is wanted is not None
            assert guard.replaced == 1

    play(story())


def test_i2_a_service_that_ends_keeps_its_rule_until_it_is_removed(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        node.want(web(), web(OTHER_VIP))
        async with node.running():
            await until(announced(node, VIP, OTHER_VIP))
            node.want(web(OTHER_VIP))
            await until(announced(node, OTHER_VIP))
            while key() in node.ipvs.dump():
                assert GuardRule(key()) in rules(guard)
                await asyncio.sleep(0.05)
            await until(lambda: rules(guard) == {GuardRule(key(OTHER_VIP))}, 0.1)

    play(story())


def test_i7_a_restarted_director_takes_over_the_table(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(announced(node, VIP))
        published = len(node.router.history)
        guard.restart()
        node.want(web())
        async with node.running():
            await for_s(3.0)
            assert len(node.router.history) == published
            assert guard.read().intact
        assert "the guard of the VIPs was changed" not in node.log.getvalue()

    play(story())


def test_i5_this_nodes_own_addresses_in_a_pool_are_none_of_the_guards_business(
    node: Node, guard: FakeGuard, play: Play
) -> None:
    async def story() -> None:
        own, elsewhere = ip_address("10.50.0.250"), ip_address("192.0.2.1")
        node.link.have_elsewhere(own, elsewhere)
        node.want(web())
        async with node.running():
            await until(announced(node, VIP))
            assert standing(guard) == Guard((POOL,), frozenset({own}), frozenset({VIP}), frozenset({GuardRule(key())}))

    play(story())


def test_what_the_guard_refuses_is_as_configured(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        node.configure(refusal=Refusal.REJECT)
        node.want(web())
        async with node.running():
            await until(announced(node, VIP))
            found = standing(guard)
            assert found is not None
            assert found.refusal is Refusal.REJECT

    play(story())


@pytest.mark.parametrize("guarded", [True, False], ids=["nothing with a guard", "a note without one"])
@pytest.mark.parametrize("asked", [{"source_ranges": (OFFICE,)}, {"new_flows_per_s": 5}], ids=["ranges", "limit"])
def test_what_nothing_enforces_is_said(node: Node, asked: dict[str, Any], guarded: bool, play: Play) -> None:  # noqa: FBT001 - a case
    async def story() -> None:
        node.guard = FakeGuard() if guarded else None
        node.want(replace(web(), **asked))
        async with node.running() as director:
            await until(lambda: director.context.memory.desired)
            assert director.context.memory.desired is not None
            assert len(director.context.memory.desired.notes) == (0 if guarded else 1)

    play(story())


def test_at_rest_a_glance_asks_the_guard_once_and_does_no_more(node: Node, guard: FakeGuard, play: Play) -> None:
    async def story() -> None:
        node.configure(resync_s=300.0)
        node.want(web())
        async with node.running() as director:
            await until(announced(node, VIP))
            await for_s(10.0)
            reads, full = guard.reads, director.context.memory.quiet
            await for_s(node.settings.canary_s * 4)
            assert full
            assert guard.reads - reads == 4

    play(story())
