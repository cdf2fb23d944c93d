"""Somebody else gives BIRD commands about what is ours, on a fake BIRD and virtual time (fault 36)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from appliance.model.routing import Announcement
from tests.unit.director.harness import OTHER_VIP, VIP, Node, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
BOTH = frozenset({VIP, OTHER_VIP})
RESYNC_S = 5.5


def disable(node: Node) -> None:
    """What an operator's `birdc disable` does to what is read."""
    node.router.held, node.router.disabled = frozenset(), frozenset({"balanced_vips4"})


def enable(node: Node, *, held: frozenset[Any] = BOTH) -> None:
    node.router.held, node.router.disabled = held, frozenset()


def conditions(node: Node) -> str:
    return node.log.getvalue()


def test_fault_36_what_somebody_disabled_is_put_right_once_and_then_left_alone(node: Node, play: Play) -> None:
    async def story() -> None:
        node.want(web(), web(OTHER_VIP))
        async with node.running() as director:
            await until(lambda: node.router.held == BOTH)
            disable(node)
            assert await until(lambda: node.router.held == BOTH) < RESYNC_S
            told = len(node.router.history)
            disable(node)
            await until(lambda: "bird rival" in director.context.standing.all)
            assert "birdc enable balanced_vips4" in director.context.standing.all["bird rival"]
            await asyncio.sleep(600)
            assert len(node.router.history) == told
            enable(node)
            await until(lambda: "bird rival" not in director.context.standing.all)
            assert len(node.router.history) == told

    play(story())


def test_fault_36_a_new_order_does_not_enable_what_somebody_disabled_twice(node: Node, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(lambda: node.router.held == {VIP})
            disable(node)
            await until(lambda: node.router.held == {VIP})
            disable(node)
            await until(lambda: "bird rival" in director.context.standing.all)
            node.want(web(), web(OTHER_VIP))
            await asyncio.sleep(60)
            assert node.router.held == frozenset()
            enable(node, held=frozenset({VIP}))
            assert await until(lambda: node.router.held == BOTH) < RESYNC_S

    play(story())


def test_fault_36_what_must_not_be_announced_is_withdrawn_in_any_fight(node: Node, play: Play) -> None:
    """Somebody's undo brings back again and again what was withdrawn: that is never left alone."""

    async def story() -> None:
        node.want(web(), web(OTHER_VIP))
        async with node.running():
            await until(lambda: node.router.held == BOTH)
            node.want(web())
            await until(lambda: node.router.held == {VIP})
            for _ in range(5):
                node.router.held = BOTH
                assert await until(lambda: node.router.held == {VIP}) < RESYNC_S

    play(story())


def test_fault_36_an_undo_that_costs_a_vip_is_put_right_once_and_then_left_alone(node: Node, play: Play) -> None:
    async def story() -> None:
        node.want(web(), web(OTHER_VIP))
        async with node.running() as director:
            await until(lambda: node.router.held == BOTH)
            node.router.held = frozenset({VIP})
            await until(lambda: node.router.held == BOTH)
            node.router.held = frozenset({VIP})
            await until(lambda: "bird rival" in director.context.standing.all)
            assert "birdc configure undo" in director.context.standing.all["bird rival"]
            await asyncio.sleep(60)
            assert node.router.held == {VIP}

    play(story())


def test_fault_36_a_hand_at_bird_now_and_then_is_no_fight(node: Node, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(lambda: node.router.held == {VIP})
            for _ in range(3):
                disable(node)
                await until(lambda: node.router.held == {VIP})
                await asyncio.sleep(400)
            assert "bird rival" not in director.context.standing.all

    play(story())


def test_fault_31_a_bird_that_was_started_anew_is_read_at_once(node: Node, play: Play) -> None:
    """The timer would look only seconds later."""

    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(lambda: node.router.held == {VIP})
            await asyncio.sleep(7)
            node.router.held = frozenset()
            node.router.restart()
            assert await until(lambda: node.router.held == {VIP}) < 0.1
            assert node.router.told == Announcement(frozenset({VIP}))

    play(story())
