"""How a service wants to be announced and drained reaches the loop, and a change of it acts at once."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from appliance.cli.show import show_status
from appliance.director.status import status
from appliance.model.desired import Announce, Note, Snapshot
from tests.unit.director.harness import VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
ALL, ALWAYS = Announce.ALL, Announce.ALWAYS


def weights(node: Node, port: int = 80) -> list[int]:
    return [each.weight for each in node.ipvs.dump()[key(port=port)].destinations]


def test_a_service_that_announces_with_all_withdraws_the_vip_when_its_backends_go(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web(port=80), replace(web(port=443), announce=ALL))
            await until(lambda: node.router.held)
            node.want(web(port=80), replace(web(port=443, ready=0), announce=ALL))
            assert await until(lambda: not node.router.held) < 1.0
            node.want(web(port=80), replace(web(port=443, ready=1), announce=ALL))
            await until(lambda: node.router.held == {VIP})

        assert "0 of 1 needed backends ready for tcp/10.50.0.1:443" in node.log.getvalue()

    play(story())


def test_a_service_that_announces_always_is_announced_without_backends(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(replace(web(ready=0), announce=ALWAYS))
            await until(lambda: node.router.held)
            await asyncio.sleep(10)
            [shown] = status(director.context, "0").vips
            assert (shown.state, shown.kernel, shown.backends_ready) == ("announced", "proven", 0)
            assert shown.reason.endswith("always announced, now with 0 of 1 needed backends ready")

        assert node.router.history == [frozenset({VIP})]

    play(story())


def test_always_withdraws_all_the_same_where_this_node_has_no_route_to_its_backends(node: Node, play: Play) -> None:
    """And is back at once when none of them is ready: then nothing is lost on the way."""
    node.configure(resync_s=1000.0, canary_s=1000.0)

    async def story() -> None:
        async with node.running():
            node.want(replace(web(), announce=ALWAYS))
            await until(lambda: node.router.held)
            node.routes.lose(ip_network("10.1.0.0/24"))
            node.monitor.report()
            assert await until(lambda: not node.router.held) < 1.1
            node.want(replace(web(ready=0), announce=ALWAYS))
            assert await until(lambda: node.router.held) < 2.0

    play(story())


def test_a_change_of_nothing_but_announce_acts_at_once_in_both_directions(node: Node, play: Play) -> None:
    """Nothing in the kernel changes with it, and nobody waits for the timer."""
    node.configure(resync_s=1000.0, canary_s=1000.0)

    async def story() -> None:
        async with node.running():
            node.want(web(port=80), web(port=443, ready=0))
            await until(lambda: node.router.held)
            node.want(web(port=80), replace(web(port=443, ready=0), announce=ALL))
            assert await until(lambda: not node.router.held) < 0.5
            node.want(web(port=80), replace(web(port=443, ready=0), announce=ALWAYS))
            assert await until(lambda: node.router.held) < 2.0

        assert "repairing" not in node.log.getvalue()

    play(story())


@pytest.mark.parametrize("drain_s", [0.0, 5.0, 300.0])
def test_a_vanished_backend_drains_for_its_services_own_time(drain_s: float, node: Node, play: Play) -> None:
    """The node's own time is 30 s."""

    async def story() -> None:
        async with node.running():
            node.want(replace(web(backends=3), drain_s=drain_s))
            await until(lambda: node.router.held)
            node.want(replace(web(backends=2), drain_s=drain_s))
            took_s = await until(lambda: weights(node) == [1, 1], within_s=400)
            assert drain_s <= took_s < drain_s + 1.0

        assert node.router.history == [frozenset({VIP})]
        assert "repairing" not in node.log.getvalue()

    play(story())


def test_a_drain_time_that_is_shortened_ends_a_drain_that_goes_on(node: Node, play: Play) -> None:
    node.configure(resync_s=1000.0, canary_s=1000.0)

    async def story() -> None:
        async with node.running():
            node.want(replace(web(backends=3), drain_s=3600.0))
            await until(lambda: node.router.held)
            node.want(replace(web(backends=2), drain_s=3600.0))
            await until(lambda: weights(node) == [1, 1, 0])
            await asyncio.sleep(20)
            node.want(replace(web(backends=2), drain_s=21.0))
            assert 0.9 < await until(lambda: weights(node) == [1, 1]) < 1.1

    play(story())


def test_a_service_that_is_removed_drains_for_its_own_time_while_others_use_the_vip(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(port=80), replace(web(port=443), drain_s=100.0))
            await until(lambda: node.router.held)
            node.want(web(port=80))
            await until(lambda: weights(node, 443) == [0, 0, 0])
            node.want(web(port=80, backends=2))
            took_s = await until(lambda: key(port=443) not in node.ipvs.dump(), within_s=200)
            assert 99.0 < took_s < 101.0
            node.want(web(port=80))
            await asyncio.sleep(1)
            assert director.context.memory.drain_times_s == {}

        assert node.router.history == [frozenset({VIP})]

    play(story())


def test_a_service_that_gives_up_its_own_drain_time_has_the_nodes(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(replace(web(backends=3), drain_s=300.0))
            await until(lambda: node.router.held)
            node.want(web(backends=2))
            assert 30.0 <= await until(lambda: weights(node) == [1, 1], within_s=60) < 31.0

    play(story())


def test_a_note_is_shown_and_degrades_nothing(node: Node, play: Play) -> None:
    note = Note("service shop/web: ipvs-scheduler", "hrw is not in the mainline kernel, mh serves instead", "write mh")

    async def story() -> None:
        async with node.running() as director:
            node.source.say(Snapshot("file", (web(),), (), (note,)))
            await until(lambda: node.router.held)
            found = status(director.context, "0")
            assert (found.degraded, found.problems, found.notes) == (False, (), (str(note),))
            assert f"- {note}" in show_status(found, 200).plain

    play(story())
