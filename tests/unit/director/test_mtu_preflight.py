"""A path to backends that takes too small packets only: no VIP is announced anew, those that are announced are held."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from appliance.director.status import status
from appliance.model.desired import Backend, DesiredService
from tests.unit.director.harness import OTHER_VIP, VIP, Node, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
RACK = ip_network("10.1.0.0/24")
REASON = "path MTU too small: 10.1.0.0/24 takes 1400 of 1500 bytes needed"


def elsewhere(vip: object = OTHER_VIP) -> DesiredService:
    """A service with its backend in another subnet."""
    return replace(web(ip_address(str(vip))), backends=(Backend(ip_address("10.2.0.1")),))


def test_fault_45_a_vip_behind_too_small_a_path_is_not_announced_and_the_others_are(node: Node, play: Play) -> None:
    async def story() -> None:
        node.routes.set_mtu(1400, RACK)
        node.want(web(), elsewhere())
        async with node.running() as director:
            await until(lambda: node.router.held == {OTHER_VIP})
            await asyncio.sleep(60)
            assert node.router.history == [{OTHER_VIP}]
            seen = status(director.context, "1")
            refused = next(each for each in seen.vips if each.vip == str(VIP))
            assert (refused.state, refused.reason, refused.kernel) == ("withdrawn", REASON, "proven")
            assert seen.conditions == {"mtu": REASON}
            assert node.log.getvalue().count(REASON) == 2, "one line for the condition, one for the VIP"
            node.routes.set_mtu(1500)
            node.monitor.report()
            assert await until(lambda: node.router.held == {VIP, OTHER_VIP}) < 1.5
            assert not director.context.standing.all

    play(story())


@pytest.mark.parametrize(
    "restarted", [False, True], ids=["by the director that announced it", "by one that adopted it"]
)
def test_fault_45_an_announced_vip_is_held_while_the_path_is_too_small(
    node: Node,
    play: Play,
    restarted: bool,  # noqa: FBT001 - a column
) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(lambda: node.router.held == {VIP})
            if not restarted:
                node.routes.set_mtu(1400, RACK)
                node.monitor.report()
                assert await until(lambda: director.context.standing.all) < 0.5
                await asyncio.sleep(60)
        node.routes.set_mtu(1400, RACK)
        node.want(web())
        async with node.running() as director:
            await until(lambda: director.context.standing.all)
            await asyncio.sleep(60)
            assert director.context.standing.all == {"mtu": REASON}
            node.routes.set_mtu(1500)
            assert await until(lambda: not director.context.standing.all) <= 5.1, "the timer finds what nobody reports"
        assert node.router.history == [{VIP}]

    play(story())


def test_a_vip_that_comes_up_just_as_the_path_shrinks_is_stopped(node: Node, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(lambda: director.context.memory.gates and director.context.memory.gates[VIP].proofs == 2)
            node.routes.set_mtu(1400, RACK)
            node.monitor.report()
            await asyncio.sleep(30)
            assert node.router.held == frozenset()
            assert director.context.memory.gates[VIP].reason == REASON

    play(story())


def test_a_vip_that_waits_for_a_wider_path_costs_no_passes_but_those_of_the_timer(node: Node, play: Play) -> None:
    async def story() -> None:
        node.routes.set_mtu(1400, RACK)
        node.want(web())
        async with node.running() as director:
            await until(lambda: director.context.standing.all)
            await asyncio.sleep(1)
            before = director.context.memory.passes
            await asyncio.sleep(20)
            ticks = 20 / node.settings.canary_s + 20 / node.settings.resync_s
            assert director.context.memory.passes - before <= ticks + 1

    play(story())


def test_a_backend_that_takes_no_traffic_speaks_against_nothing(node: Node, play: Play) -> None:
    async def story() -> None:
        node.routes.set_mtu(1400, ip_network("10.2.0.0/24"))
        service = web()
        node.want(replace(service, backends=(*service.backends, Backend(ip_address("10.2.0.1"), ready=False))))
        async with node.running():
            await until(lambda: node.router.held == {VIP})

    play(story())


@pytest.mark.parametrize(("needed", "held"), [(None, {VIP}), (1400, {VIP}), (1401, set())])
def test_what_is_needed_is_the_operator_s_to_say(node: Node, play: Play, needed: int | None, held: set[object]) -> None:
    """None asks for no size."""

    async def story() -> None:
        node.configure(min_path_mtu=needed)
        node.routes.set_mtu(1400)
        node.want(web())
        async with node.running() as director:
            await asyncio.sleep(10)
            assert node.router.held == held
            assert bool(director.context.standing.all) is (not held)

    play(story())
