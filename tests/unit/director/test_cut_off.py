"""A VIP that stands, and that no packet gets to, is not served: it goes, and no other."""

from collections.abc import Callable, Coroutine
from typing import Any

from tests.unit.director.harness import OTHER_VIP, VIP, Node, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
REASON = "this host does not send it into the namespace"


def test_a_vip_that_is_cut_off_is_withdrawn_and_comes_back_proven(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            node.link.cut_off({VIP: REASON})
            node.monitor.report()
            assert await until(lambda: node.router.held == {OTHER_VIP}) < 1.5
            assert director.context.memory.gates[VIP].reason == REASON
            node.link.cut_off({})
            node.monitor.report()
            await until(lambda: node.router.held == {VIP, OTHER_VIP})

    play(story())


def test_what_nobody_reports_is_found_by_the_timer(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            node.link.cut_off({VIP: REASON})
            assert await until(lambda: not node.router.held) < node.settings.resync_s + 1.5

    play(story())
