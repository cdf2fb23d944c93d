"""What is counted and timed as it happens: changes, convergence, the age of sources."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from appliance.errors import SourceError
from appliance.telemetry import metrics
from tests.unit.director.harness import OTHER_VIP, VIP, Node, until, web
from tests.unit.director.scraping import page, scraper

Play = Callable[[Coroutine[Any, Any, None]], None]
CHANGES = metrics.DESIRED_CHANGE.name
PROGRAMMED = metrics.PROGRAMMED.name
COUNT = f"{metrics.CONVERGENCE.name}_count"
SUM = f"{metrics.CONVERGENCE.name}_sum"


def test_what_sources_ask_for_is_counted_by_kind_and_action(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(backends=3), web(OTHER_VIP, backends=1))
            await until(lambda: len(node.router.held) == 2)
            node.want(web(backends=2, ready=1))
            await asyncio.sleep(5)
            found = await page(scraper(node, director))
            assert found.value(CHANGES, hostname="d1", kind="service", action="create") == 2
            assert found.value(CHANGES, kind="endpoint", action="create") == 4
            assert found.value(CHANGES, kind="service", action="delete") == 1
            assert found.value(CHANGES, kind="endpoint", action="delete") == 2
            assert found.value(CHANGES, kind="endpoint", action="update") == 1
            assert found.values(CHANGES, kind="service", action="update") == []
            assert found.value(PROGRAMMED, kind="service", action="create") == 2
            assert found.value(PROGRAMMED, kind="endpoint", action="create") == 4

    play(story())


def test_a_new_service_is_timed_to_the_kernel_and_to_bird(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            took_s = await until(lambda: node.router.held)
            await asyncio.sleep(1)
            found = await page(scraper(node, director))
            assert found.value(COUNT, stage="kernel") == 1
            assert found.value(COUNT, stage="exported") == 1
            assert found.value(SUM, stage="kernel") == pytest.approx(0, abs=0.05), "before the gate opened"
            assert found.value(SUM, stage="exported") == pytest.approx(took_s, abs=0.05)

    play(story())


def test_a_vip_that_goes_away_is_timed_until_bird_is_silent_about_it(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await until(lambda: len(node.router.held) == 2)
            await asyncio.sleep(1)
            node.want(web())
            await until(lambda: OTHER_VIP not in node.router.held)
            await asyncio.sleep(0)
            found = await page(scraper(node, director))
            assert found.value(COUNT, stage="exported") == 3
            assert found.value(COUNT, stage="kernel") == 2, "its services stand until the VIP is quiet"
            assert not director.context.record.asked_s

    play(story())


def test_a_vip_without_ready_backends_has_converged_when_that_is_known(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(ready=0))
            await until(lambda: not director.context.record.untold_s)
            assert VIP not in node.router.held

    play(story())


def test_a_change_that_cannot_be_put_in_place_goes_on_counting(node: Node, play: Play) -> None:
    async def story() -> None:
        node.link.taken = True
        async with node.running() as director:
            node.want(web())
            await asyncio.sleep(30)
            assert director.context.record.asked_s
            node.link.taken = False
            node.monitor.report()
            await until(lambda: not director.context.record.untold_s)
            found = await page(scraper(node, director))
            assert found.value(SUM, stage="kernel") >= 30

    play(story())


def test_a_source_grows_old_while_it_cannot_be_heard(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            scraping, name = scraper(node, director), metrics.SOURCE_AGE.name
            await asyncio.sleep(7)
            assert (await page(scraping)).value(name, source="file") == pytest.approx(7), "it never spoke"
            node.want(web())
            await until(lambda: node.router.held)
            await asyncio.sleep(100)
            assert (await page(scraping)).value(name, source="file") == 0, "quiet is not old"
            node.source.say(SourceError("away"))
            await asyncio.sleep(20)
            node.source.say(SourceError("still away"))
            await asyncio.sleep(20)
            found = await page(scraping)
            assert found.value(name, source="file") == pytest.approx(40)
            assert found.value(metrics.SOURCE_ERRORS.name, source="file") == 2
            node.want(web())
            await asyncio.sleep(1)
            assert (await page(scraping)).value(name, source="file") == 0

    play(story())
