"""Settings of the host: asserted, asserted again, and told once where that is in vain."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from appliance.director.hosting import MOST_TOLD
from appliance.director.status import status
from appliance.model.host import Sysctl
from tests.fakes.host import FakeHost
from tests.unit.director.harness import VIP, Node, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
SLOPPY, CONNTRACK = "net/ipv4/vs/sloppy_tcp", "net/ipv4/vs/conntrack"
SET = "sysctl changed SYSCTL=net/ipv4/vs/sloppy_tcp FROM=0 TO=1"
WRONG = "net.ipv4.vs.sloppy_tcp is 0 instead of 1"


@pytest.fixture
def host(node: Node) -> FakeHost:
    """A host with one setting that differs from what is wanted, and one that does not."""
    wanted = [Sysctl(SLOPPY, "1", "for the test"), Sysctl(CONNTRACK, "0", "for the test")]
    node.host = FakeHost(wanted, {SLOPPY: "0", CONNTRACK: "0"})
    return node.host


def condition(node: Node) -> list[str]:
    """What the journal says of settings that cannot be had."""
    return [line for line in node.log.getvalue().splitlines() if '"host setting"' in line and "well again" not in line]


def test_settings_are_made_before_any_source_speaks_and_told_with_their_old_value(
    node: Node, host: FakeHost, play: Play
) -> None:
    async def story() -> None:
        async with node.running():
            await until(lambda: host.values[SLOPPY] == "1", 1)
            await asyncio.sleep(60)
        assert node.log.getvalue().count(SET) == node.log.getvalue().count("sysctl changed") == 1

    play(story())


def test_what_is_set_back_is_made_again_with_the_next_timer(node: Node, host: FakeHost, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(lambda: host.values[SLOPPY] == "1", 1)
            await asyncio.sleep(7)
            host.values[SLOPPY] = "0"
            assert await until(lambda: host.values[SLOPPY] == "1") <= node.settings.resync_s
            await asyncio.sleep(20)
            assert node.log.getvalue().count(SET) == 2
            assert not director.context.standing.all

    play(story())


def test_who_sets_it_back_again_and_again_has_his_way_and_is_told_once(node: Node, host: FakeHost, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            for _ in range(2):
                await until(lambda: host.values[SLOPPY] == "1")
                await asyncio.sleep(1)
                host.values[SLOPPY] = "0"
            await until(lambda: director.context.standing.all)
            await asyncio.sleep(3600)
            assert host.values[SLOPPY] == "0"
            (line,) = condition(node)
            assert f"{WRONG}: somebody sets that back again and again, so it is left so" in line
            assert node.log.getvalue().count(SET) == 2
            assert node.router.held == {VIP}, "a drawback, no reason to withdraw"
            host.values[SLOPPY] = "1"
            await until(lambda: not director.context.standing.all)
            await asyncio.sleep(3600)
            assert not director.context.memory.setbacks, "forgotten"
            host.values[SLOPPY] = "0"
            await until(lambda: host.values[SLOPPY] == "1")

    play(story())


def test_what_may_not_be_written_is_one_condition_with_key_value_wanted_and_remedy(
    node: Node, host: FakeHost, play: Play
) -> None:
    async def story() -> None:
        host.refusal = "Read-only file system"
        node.want(web())
        async with node.running() as director:
            await until(lambda: node.router.held == {VIP})
            await asyncio.sleep(600)
            (line,) = condition(node)
            assert f"{WRONG} (Read-only file system): put them into /etc/sysctl.d (balanced units /" in line
            assert status(director.context, "1").degraded
            host.values[SLOPPY] = "1"
            assert await until(lambda: not director.context.standing.all) <= node.settings.resync_s

    play(story())


def test_what_may_be_written_later_is_written_later(node: Node, host: FakeHost, play: Play) -> None:
    """A refusal is nobody who insists."""

    async def story() -> None:
        host.refusal = "Read-only file system"
        async with node.running() as director:
            await asyncio.sleep(600)
            host.refusal = ""
            await until(lambda: host.values[SLOPPY] == "1")
            assert not director.context.standing.all

    play(story())


def test_of_many_the_first_are_named_and_the_rest_counted(node: Node, play: Play) -> None:
    async def story() -> None:
        keys = [f"net/ipv4/vs/x{number}" for number in range(MOST_TOLD + 2)]
        node.host = FakeHost([Sysctl(key, "1", "for the test") for key in keys], dict.fromkeys(keys, "0"))
        node.host.refusal = "Read-only file system"
        async with node.running():
            await asyncio.sleep(10)
        (line,) = condition(node)
        assert f"x{MOST_TOLD - 1} is 0 instead of 1 (Read-only file system) and 2 more: " in line

    play(story())


def test_the_settings_are_read_no_more_often_than_the_timer_ticks(node: Node, host: FakeHost, play: Play) -> None:
    """Whatever else asks for full passes: here BIRD, which restarts every tenth of a second."""

    async def story() -> None:
        node.want(web())
        async with node.running():
            for _ in range(200):
                node.router.restart()
                await asyncio.sleep(0.1)
        assert host.readings <= 20 / (0.9 * node.settings.resync_s) + 1

    play(story())


def test_old_values_that_cannot_be_kept_are_told(node: Node, host: FakeHost, play: Play) -> None:
    async def story() -> None:
        host.unrecorded = "/var/lib/balanced/host-changes.json: No space left on device"
        async with node.running():
            await until(lambda: "No space left" in node.log.getvalue())
        assert "host changes not kept" in node.log.getvalue()

    play(story())
