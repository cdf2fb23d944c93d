"""A VIP that is an address of another link of this node: not announced anew, held where it is announced."""

import asyncio
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any

import pytest

from appliance.director.status import status
from tests.unit.director.harness import OTHER_VIP, VIP, Node, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
REASON = (
    "10.50.0.1 is an address of another link of this node too: ip address show; take it away there or from the pool"
)


def test_it_is_not_announced_until_the_address_goes_and_other_vips_are(node: Node, play: Play) -> None:
    async def story() -> None:
        node.link.have_elsewhere(VIP, ip_address("192.0.2.1"))
        node.want(web(), web(OTHER_VIP))
        async with node.running() as director:
            await until(lambda: node.router.held == {OTHER_VIP})
            await asyncio.sleep(60)
            assert node.router.history == [{OTHER_VIP}]
            seen = status(director.context, "1")
            refused = next(each for each in seen.vips if each.vip == str(VIP))
            assert (refused.state, refused.reason, refused.kernel) == ("withdrawn", REASON, "proven")
            assert seen.conditions == {"own address": REASON}
            assert node.log.getvalue().count(REASON) == 2, "one line for the condition, one for the VIP"
            node.link.have_elsewhere()
            node.monitor.report()
            assert await until(lambda: node.router.held == {VIP, OTHER_VIP}) < 1.5
            assert not director.context.standing.all

    play(story())


@pytest.mark.parametrize("restarted", [False, True], ids=["announced by this director", "found announced"])
def test_it_is_held_where_it_is_announced(
    node: Node,
    play: Play,
    restarted: bool,  # noqa: FBT001 - a column
) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(lambda: node.router.held == {VIP})
            if not restarted:
                node.link.have_elsewhere(VIP)
                node.monitor.report()
                assert await until(lambda: director.context.standing.all) < 0.5
                await asyncio.sleep(60)
        node.link.have_elsewhere(VIP)
        node.want(web())
        async with node.running() as director:
            await until(lambda: director.context.standing.all)
            await asyncio.sleep(60)
            assert director.context.standing.all == {"own address": REASON}
        assert node.router.history == [{VIP}]

    play(story())


def test_an_address_in_a_pool_that_is_no_vip_speaks_against_nothing(node: Node, play: Play) -> None:
    async def story() -> None:
        node.link.have_elsewhere(ip_address("10.50.0.9"))
        node.want(web())
        async with node.running() as director:
            await until(lambda: node.router.held == {VIP})
            assert not director.context.standing.all

    play(story())


def test_a_service_that_comes_later_on_such_an_address_is_refused(node: Node, play: Play) -> None:
    async def story() -> None:
        node.link.have_elsewhere(VIP)
        node.want(web(OTHER_VIP))
        async with node.running() as director:
            await until(lambda: node.router.held == {OTHER_VIP})
            assert not director.context.standing.all
            node.want(web(), web(OTHER_VIP))
            await until(lambda: director.context.standing.all)
            await asyncio.sleep(60)
            assert node.router.history == [{OTHER_VIP}]
            node.want(web(OTHER_VIP))
            await until(lambda: not director.context.standing.all)

    play(story())
