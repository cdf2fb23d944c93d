"""The brake in a whole director: what a list left out stays in force, is told, and goes when it is believed."""

import asyncio
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from appliance.director.loop import Director
from appliance.errors import SourceError
from appliance.model.desired import DesiredService, Snapshot
from tests.fakes.kernel import FakeIpvs, FakeVips
from tests.fakes.outside import FakeMonitor, FakeRouter, FakeSource
from tests.unit.director.harness import Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
VIPS = [ip_address(f"10.50.0.{number}") for number in range(1, 7)]
ALL = frozenset(VIPS)
WEBS = [web(vip) for vip in VIPS]


@pytest.fixture
def node(node: Node, tmp_path: Path) -> Node:
    """A node that keeps snapshots."""
    state = tmp_path / "state"
    state.mkdir()
    node.configure(state_dir=state)
    return node


def say_list(node: Node, *services: DesiredService) -> None:
    node.source.say(Snapshot("file", services, listed=True))


def alarm(director: Director) -> str:
    return director.context.standing.all.get("brake file", "")


def reboot(node: Node) -> None:
    """Nothing stands any more but what is on the disk; the source is silent."""
    node.ipvs, node.link, node.router = FakeIpvs(), FakeVips(), FakeRouter()
    node.monitor, node.source = FakeMonitor(), FakeSource()


async def serve_all(node: Node) -> None:
    say_list(node, *WEBS)
    await until(lambda: node.router.held == ALL)


def test_fault_12_an_empty_list_withdraws_nothing_and_is_told_within_a_second(node: Node, play: Play) -> None:
    """Not one route changes, whatever the length of time below confirm_after_s, and IPVS stays as it is."""

    async def story() -> None:
        async with node.running() as director:
            await serve_all(node)
            table = node.ipvs.dump()
            say_list(node)
            assert await until(lambda: alarm(director)) < 1.0
            assert "6 VIPs" in alarm(director)
            assert "balanced confirm" in alarm(director)
            await asyncio.sleep(node.settings.brake.confirm_after_s - 10)
            assert node.router.history == [ALL]
            assert node.ipvs.dump() == table

    play(story())


def test_fault_12_a_loss_that_lasts_is_obeyed_in_the_end(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            await serve_all(node)
            say_list(node, *WEBS[:2])
            await until(lambda: alarm(director))
            took_s = await until(lambda: node.router.held == {*VIPS[:2]}, within_s=310)
            assert 299 < took_s < 301
            assert not alarm(director)
            await until(lambda: len(node.ipvs.dump()) == 2)

    play(story())


def test_fault_12_an_operator_confirms_the_loss(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            await serve_all(node)
            assert director.confirm() == ()
            say_list(node, *WEBS[:1])
            await until(lambda: alarm(director))
            assert director.confirm() == tuple(map(str, VIPS[1:]))
            assert await until(lambda: node.router.held == {VIPS[0]}) < 1.5
            assert not alarm(director)

    play(story())


def test_fault_12_single_events_are_obeyed_at_once(node: Node, play: Play) -> None:
    """Also down to nothing."""

    async def story() -> None:
        async with node.running() as director:
            await serve_all(node)
            for left in range(5, -1, -1):
                node.want(*WEBS[:left])
                assert await until(lambda left=left: len(node.router.held) == left) < 1.5  # type: ignore[misc]
            assert not alarm(director)

    play(story())


def test_what_is_new_in_a_list_applies_while_its_losses_are_withheld(node: Node, play: Play) -> None:
    new = web(ip_address("10.50.0.9"))

    async def story() -> None:
        async with node.running() as director:
            await serve_all(node)
            say_list(node, web(VIPS[0], backends=5), new)
            await until(lambda: node.router.held == {*ALL, new.key.vip})
            assert len(node.ipvs.dump()[key()].destinations) == 5
            assert alarm(director)

    play(story())


def test_events_apply_while_a_loss_is_withheld(node: Node, play: Play) -> None:
    """What comes back by an event is in force as it is told; the rest stays withheld."""

    async def story() -> None:
        async with node.running() as director:
            await serve_all(node)
            say_list(node)
            await until(lambda: alarm(director))
            node.want(web(VIPS[0], backends=5))
            await until(lambda: len(node.ipvs.dump()[key()].destinations) == 5)
            assert "5 VIPs" in alarm(director)
            node.want(*WEBS)
            await until(lambda: not alarm(director))
            assert node.router.history == [ALL]

    play(story())


def test_i3_a_source_that_falls_silent_after_its_empty_list_loses_nothing(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            await serve_all(node)
            say_list(node)
            await until(lambda: alarm(director))
            node.source.say(SourceError("no answer"))
            await asyncio.sleep(3 * node.settings.brake.confirm_after_s)
            assert node.router.held == ALL

    play(story())


def test_a_restarted_director_doubts_an_empty_first_list(node: Node, play: Play) -> None:
    """What it goes by is the state on disk, as far as BIRD announces it still."""

    async def story() -> None:
        async with node.running():
            await serve_all(node)
            await asyncio.sleep(5)
        node.source = FakeSource()
        async with node.running() as director:
            say_list(node)
            await until(lambda: alarm(director))
            await asyncio.sleep(60)
            assert node.router.history == [ALL]
            assert len(node.ipvs.dump()) == len(ALL)

    play(story())


def test_what_was_believed_does_not_come_back_after_a_reboot(node: Node, play: Play) -> None:
    """The state on disk, which stands in for a silent source, goes without it."""

    async def story() -> None:
        async with node.running() as director:
            await serve_all(node)
            say_list(node, WEBS[0])
            await until(lambda: alarm(director))
            await asyncio.sleep(5)  # until all that was said is on the disk
            director.confirm()
            await until(lambda: node.router.held == {VIPS[0]})
            await asyncio.sleep(5)
        reboot(node)
        async with node.running():
            await until(lambda: node.router.held, within_s=30)
            await asyncio.sleep(5)
            assert node.router.history == [frozenset({VIPS[0]})]

    play(story())


def test_a_rebooted_node_takes_its_first_list_as_it_is(node: Node, play: Play) -> None:
    """It announces nothing, so nobody loses anything: it must not bring up what went while it was off."""

    async def story() -> None:
        async with node.running():
            await serve_all(node)
            await asyncio.sleep(5)
        reboot(node)
        async with node.running() as director:
            say_list(node, WEBS[0])
            await until(lambda: node.router.held == {VIPS[0]})
            assert node.ipvs.dump().keys() == {WEBS[0].key}
            assert "brake" not in node.log.getvalue()
            assert not alarm(director)

    play(story())


def test_fault_12_the_first_list_after_a_stand_in_is_doubted_too(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            await serve_all(node)
            await asyncio.sleep(5)
        reboot(node)
        async with node.running() as director:
            await until(lambda: node.router.held == ALL, within_s=30)
            say_list(node)
            assert await until(lambda: alarm(director)) < 1.0
            await asyncio.sleep(60)
            assert node.router.history == [ALL]

    play(story())
