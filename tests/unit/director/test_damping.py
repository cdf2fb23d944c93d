"""A VIP that comes and goes is damped, whatever it is that makes it go."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]


def test_fault_18_a_service_deleted_and_made_anew_all_the_time_is_damped(node: Node, play: Play) -> None:
    """Announced as soon as it is proven and deleted then: two dozen times a minute without damping."""
    node.configure(resync_s=1.0)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        announced_s: list[float] = []
        async with node.running():
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            while len(announced_s) < 6:
                node.want(web(OTHER_VIP))
                assert await until(lambda: VIP not in node.router.held) < 1.0
                node.want(web(), web(OTHER_VIP))
                await until(lambda: VIP in node.router.held, within_s=60)
                announced_s.append(loop.time())
        gaps = [round(later - earlier) for earlier, later in pairwise(announced_s)]
        assert gaps == [1, 2, 4, 8, 16]
        assert all(OTHER_VIP in told for told in node.router.history[1:])

    play(story())


def test_the_gate_of_a_vip_that_is_gone_is_kept_until_it_is_forgotten(node: Node, play: Play) -> None:
    """Bounded memory: a VIP that does not return leaves nothing behind, and is not shown meanwhile."""

    async def story() -> None:
        async with node.running() as director:
            memory = director.context.memory
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            node.want(web(OTHER_VIP))
            await until(lambda: key() not in node.ipvs.dump())
            await asyncio.sleep(node.settings.gate.forget_s - 10)
            assert VIP in memory.gates
            await until(lambda: VIP not in memory.gates, within_s=20)
            assert memory.gates.keys() == {OTHER_VIP}

    play(story())
