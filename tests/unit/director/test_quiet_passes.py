"""What a director leaves undone while nothing changes, and that it still sees what does."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from appliance.director.loop import MAX_STRETCH, RESYNC_SHARE
from appliance.director.sight import CANARY_SERVICES
from appliance.model.observed import ObservedService
from appliance.model.plan import RemoveService, SetService
from appliance.model.service import ServiceKey, VirtualService
from tests.fakes.kernel import FakeIpvs
from tests.unit.director.harness import VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]


class SlowIpvs(FakeIpvs):
    """A table so large that reading it whole takes ``whole_s`` of the virtual time; ``readings`` counts them."""

    whole_s = 0.0
    readings = 0

    def dump(self) -> dict[ServiceKey, ObservedService]:
        self.readings += 1
        asyncio.get_running_loop()._now_s += self.whole_s  # type: ignore[attr-defined]  # the virtual clock
        return super().dump()


@pytest.mark.parametrize(
    ("whole_s", "apart_s"),
    [
        pytest.param(0.0, 5.0, id="a small table is read whole every resync_s"),
        pytest.param(0.2, 0.2 / RESYNC_SHARE, id="a large one so seldom that it takes a small share of the time"),
        pytest.param(9.0, 5.0 * MAX_STRETCH, id="and a huge one no more seldom than that"),
    ],
)
def test_full_readings_move_apart_where_they_are_slow(node: Node, play: Play, whole_s: float, apart_s: float) -> None:
    async def story() -> None:
        node.ipvs = ipvs = SlowIpvs()
        ipvs.whole_s = whole_s
        async with node.running():
            node.want(web())
            await until(lambda: ipvs.readings >= 3, within_s=200)
            took_s = await until(lambda: ipvs.readings >= 7, within_s=200)
        assert took_s / 4 == pytest.approx(apart_s, rel=0.1)

    play(story())


def test_a_glance_at_a_table_that_stands_asks_bird_nothing(node: Node, play: Play) -> None:
    async def story() -> None:
        node.configure(resync_s=1000.0)
        async with node.running() as director:
            node.want(web())
            await until(lambda: VIP in node.router.held and director.context.memory.quiet)
            passes, asked = director.context.memory.passes, node.router.observations
            await until(lambda: director.context.memory.passes >= passes + 5)
            assert node.router.observations == asked

    play(story())


MANY = [web(port=80 + number) for number in range(3 * CANARY_SERVICES + 1)]


def test_a_glance_reads_a_few_services_and_finds_a_flushed_table_at_once(node: Node, play: Play) -> None:
    async def story() -> None:
        node.configure(resync_s=1000.0)
        async with node.running() as director:
            node.want(*MANY)
            await until(lambda: VIP in node.router.held and director.context.memory.quiet)
            node.ipvs.flush()
            assert await until(lambda: len(node.ipvs.dump()) == len(MANY)) <= 1.1 * node.settings.canary_s

    play(story())


def test_glance_after_glance_every_service_is_read(node: Node, play: Play) -> None:
    async def story() -> None:
        node.configure(resync_s=1000.0)
        async with node.running() as director:
            node.want(*MANY)
            await until(lambda: VIP in node.router.held and director.context.memory.quiet)
            right = node.ipvs.dump()
            for service in MANY[:: CANARY_SERVICES - 1]:
                node.ipvs.apply([RemoveService(service.key)])
                took_s = await until(lambda: node.ipvs.dump() == right)
                assert took_s <= 1.1 * node.settings.canary_s * (1 + len(MANY) / CANARY_SERVICES)

    play(story())


def test_a_glance_finds_a_wrong_scheduler_also_after_many_that_found_nothing(node: Node, play: Play) -> None:
    async def story() -> None:
        node.configure(resync_s=1000.0)
        async with node.running() as director:
            node.want(web())
            await until(lambda: VIP in node.router.held and director.context.memory.quiet)
            for _ in range(3):
                passes, right = director.context.memory.passes, node.ipvs.dump()
                await until(lambda passes=passes: director.context.memory.passes >= passes + 3)  # type: ignore[misc]
                node.ipvs.apply([SetService(VirtualService(key(), "rr"))])
                assert node.ipvs.dump() != right
                took_s = await until(lambda right=right: node.ipvs.dump() == right)  # type: ignore[misc]
                assert took_s <= 1.5 * node.settings.canary_s
                await asyncio.sleep(node.settings.gate.repair_window_s)
        assert VIP in node.router.held

    play(story())


def test_what_breaks_again_between_two_looks_is_withdrawn_long_before_the_next_glance(node: Node, play: Play) -> None:
    async def story() -> None:
        node.configure(resync_s=1000.0, canary_s=20.0)
        async with node.running() as director:
            node.want(web())
            await until(lambda: VIP in node.router.held and director.context.memory.quiet)
            node.ipvs.flush()
            director.context.wakes.services([key()])
            for _ in range(2):
                await until(lambda: key() in node.ipvs.dump())
                await asyncio.sleep(0.15)  # past the first look, which finds all well
                node.ipvs.flush()
            assert await until(lambda: VIP not in node.router.held) < node.settings.gate.repair_window_s

    play(story())
