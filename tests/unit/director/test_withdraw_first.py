"""A loss that takes longer to repair than a pass may: routers are told first. What fits is repaired first."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import IPv4Address
from typing import Any

import pytest

from appliance.director import build
from appliance.model.address import Address
from appliance.model.desired import Snapshot
from appliance.model.plan import RemoveService, ServiceStep, StepResult
from tests.fakes.kernel import FakeIpvs
from tests.unit.director.harness import VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
VIPS = [IPv4Address(int(VIP) + number) for number in range(60)]
BACKENDS = 48
"""With the service itself 49 steps: eleven services are a slice, all of them are six."""


class SlowIpvs(FakeIpvs):
    """A table in which each step takes ``step_s`` of the virtual time; ``before`` is called before each slice."""

    step_s = 0.0

    def before(self) -> None:
        """What a test puts in the place of this."""

    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]:
        self.before()
        asyncio.get_running_loop()._now_s += len(steps) * self.step_s  # type: ignore[attr-defined]  # the virtual clock
        return super().apply(steps)


@pytest.fixture
def ipvs(node: Node) -> SlowIpvs:
    node.ipvs = ipvs = SlowIpvs()
    return ipvs


async def all_announced(node: Node) -> None:
    node.source.say(Snapshot("file", tuple(web(vip, backends=BACKENDS) for vip in VIPS)))
    await until(lambda: node.router.held == frozenset(VIPS), within_s=60)
    await asyncio.sleep(5.0)


def test_fault_23_what_cannot_be_rebuilt_in_time_is_withdrawn_before_anything_is_built(
    node: Node, ipvs: SlowIpvs, play: Play
) -> None:
    """Each slice takes half a second: the budget of 0.8 s is enough for two, 22 VIPs, and those are not withdrawn."""
    ipvs.step_s = 0.001

    async def story() -> None:
        seen: list[tuple[float, frozenset[Address]]] = []
        clock = asyncio.get_running_loop().time
        async with node.running():
            await all_announced(node)
            ipvs.before = lambda: seen.append((clock(), node.router.held))  # type: ignore[method-assign]  # as it says
            told, flushed_s = len(node.router.history), clock()
            ipvs.flush()
            await until(lambda: seen and node.router.held == frozenset(VIPS), within_s=60)
        assert seen[0][0] - flushed_s <= node.settings.canary_s + 0.1
        in_time = seen[0][1]
        assert len(in_time) == 22
        assert all(held >= in_time for held in node.router.history[told:]), "repaired, not withdrawn"

    play(story())


@pytest.mark.parametrize(
    "step_s", [pytest.param(0.0001, id="all of it fits"), pytest.param(0.0, id="a clock that shows nothing")]
)
def test_what_can_be_rebuilt_in_time_is_not_withdrawn(node: Node, ipvs: SlowIpvs, play: Play, step_s: float) -> None:
    ipvs.step_s = step_s

    async def story() -> None:
        async with node.running():
            await all_announced(node)
            told = len(node.router.history)
            ipvs.flush()
            await until(lambda: len(ipvs.dump()) == len(VIPS))
            await asyncio.sleep(5.0)
            assert set(node.router.history[told:]) <= {frozenset(VIPS)}

    play(story())


def test_services_that_are_new_are_waited_for_without_a_word_to_the_routers(
    node: Node, ipvs: SlowIpvs, play: Play
) -> None:
    """What a source asks for is no repair, however long it takes: nothing of it was announced."""
    ipvs.step_s = 0.001

    async def story() -> None:
        async with node.running():
            node.want(web(VIP))
            await until(lambda: node.router.held == {VIP})
            await all_announced(node)
            assert all(VIP in held for held in node.router.history)

    play(story())


def test_the_first_slice_is_always_tried_however_slow_the_last_build_was() -> None:
    steps = [step for number in range(3) for step in _steps(number, build.SLICE_STEPS)]
    assert build.unreached(steps, step_s=60.0, budget_s=0.8) == build.keys_of(steps[build.SLICE_STEPS :])
    assert build.unreached(steps[: build.SLICE_STEPS], step_s=60.0, budget_s=0.8) == frozenset()


def test_what_build_leaves_is_what_was_foreseen(play: Play) -> None:
    steps = [step for number in range(40) for step in _steps(number, 100)]

    async def story() -> None:
        ipvs = SlowIpvs()
        ipvs.step_s = 0.0005
        built = build.build(ipvs, steps, asyncio.get_running_loop().time, 0.8)
        assert built.left
        assert built.step_s == pytest.approx(ipvs.step_s)
        assert build.unreached(steps, built.step_s or 0.0, 0.8) == built.left

    play(story())


def _steps(number: int, how_many: int) -> list[ServiceStep]:
    return [RemoveService(key(VIPS[number]))] * how_many
