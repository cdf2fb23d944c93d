"""A kube-proxy in IPVS mode on the node: said which VIPs it takes for its own, before anything is undone."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from appliance.decide.fight import KUBE_PROXY_LINK
from tests.unit.director.harness import OTHER_VIP, VIP, Node, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]


def test_vips_that_kube_proxy_takes_are_named_until_their_ip_mode_is_proxy(node: Node, play: Play) -> None:
    """Nothing else follows: the VIPs stay announced. It is told within resync_s, and ends so."""

    async def story() -> None:
        node.link.others.add(KUBE_PROXY_LINK)
        node.want(replace(web(), kube_proxy_too=True), web(OTHER_VIP))
        async with node.running() as director:
            conditions = director.context.standing
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            assert await until(lambda: conditions.all) <= node.settings.resync_s
            (text,) = conditions.all.values()
            assert "takes 10.50.0.1 for its own" in text
            assert "ipMode: Proxy" in text
            node.want(web(), web(OTHER_VIP))
            assert await until(lambda: not conditions.all) <= node.settings.resync_s
            assert node.router.history == [{VIP, OTHER_VIP}]

    play(story())


def test_without_its_link_nothing_is_said(node: Node, play: Play) -> None:
    async def story() -> None:
        node.want(replace(web(), kube_proxy_too=True))
        async with node.running() as director:
            await until(lambda: node.router.held == {VIP})
            await asyncio.sleep(2 * node.settings.resync_s)
            assert not director.context.standing.all
            node.link.others.add(KUBE_PROXY_LINK)
            assert await until(lambda: director.context.standing.all) <= node.settings.resync_s
            node.link.others.clear()
            assert await until(lambda: not director.context.standing.all) <= node.settings.resync_s

    play(story())
