"""Backends that flap: withdrawn at once each time, announced more and more rarely, and nobody else notices."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from tests.unit.director.harness import OTHER_VIP, VIP, Node, until, web
from tests.unit.director.scraping import page, scraper

Play = Callable[[Coroutine[Any, Any, None]], None]
MINUTES = 2
HOLD = "balanced_director_vip_hold_seconds"


def regular(random: Random) -> float:  # noqa: ARG001 - the signature of all paces
    return 0.1


def jittering(random: Random) -> float:
    return random.uniform(0.05, 0.15)


@pytest.mark.parametrize("pace", [regular, jittering], ids=["10 Hz", "about 10 Hz"])
def test_fault_18_a_vip_whose_backends_flap_at_10_hz_is_told_six_times_a_minute_at_most(
    node: Node, play: Play, pace: Callable[[Random], float]
) -> None:
    """Each update takes a state of the VIP to the routers; the other VIP stands in all of them."""
    told_s: list[float] = []

    async def flap() -> None:
        random = Random(18)  # noqa: S311 - the same flapping each time
        for ready in itertools.cycle([0, 3]):
            node.want(web(ready=ready), web(OTHER_VIP))
            await asyncio.sleep(pace(random))

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with node.running():
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            known = len(node.router.history)
            flapping = asyncio.create_task(flap())
            assert await until(lambda: VIP not in node.router.held) < 0.1
            end_s = loop.time() + 60 * MINUTES
            while loop.time() < end_s:
                told_s.extend([loop.time()] * (len(node.router.history) - known))
                known = len(node.router.history)
                await asyncio.sleep(0.01)
            flapping.cancel()
            assert all(OTHER_VIP in told for told in node.router.history)
            node.want(web(), web(OTHER_VIP))
            await until(lambda: VIP in node.router.held, within_s=70)

    play(story())
    for at_s in told_s:
        assert sum(1 for other_s in told_s if at_s <= other_s < at_s + 60) <= 6


def test_fault_18_however_slowly_it_flaps_every_loss_is_followed_at_once_and_the_penalty_is_a_metric(
    node: Node, play: Play
) -> None:
    """Its backends vanish as soon as it is announced: 1, 2, 4 ... 60 s until it may come back."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            holds_s = []
            for _ in range(9):
                node.want(web(ready=0), web(OTHER_VIP))
                assert await until(lambda: VIP not in node.router.held) < 0.1
                found = await page(scraper(node, director))
                holds_s.append(round(found.value(HOLD, vip=str(VIP))))
                assert found.value(HOLD, vip=str(OTHER_VIP)) == 0
                node.want(web(), web(OTHER_VIP))
                since_s = loop.time()
                await until(lambda: VIP in node.router.held, within_s=70)
                assert loop.time() - since_s >= holds_s[-1] - 0.1
            assert holds_s == [0, 1, 2, 4, 8, 16, 32, 60, 60]
            assert (await page(scraper(node, director))).value(HOLD, vip=str(VIP)) == 0

    play(story())
