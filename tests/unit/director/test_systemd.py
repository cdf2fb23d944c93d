"""What systemd is told, and when."""

import asyncio
import errno
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from appliance.director.record import Ending
from appliance.director.systemd import FEED_S, MISSED_RESYNCS, Supervision, status_line
from appliance.director.wakes import Scope
from appliance.errors import BirdUnreachable, SourceError
from tests.unit.director.harness import OTHER_VIP, Node, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
FULL, GLANCE = Scope(everything=True), Scope(canary=True)


class Told(list[str]):
    """What systemd would have been told, one assignment an entry."""

    deaf = False

    def __call__(self, *assignments: str) -> bool:
        if not self.deaf:
            self.extend(assignments)
        return not self.deaf

    @property
    def meals(self) -> int:
        return self.count("WATCHDOG=1")


def supervised(node: Node, told: Told) -> None:
    node.on_pass = Supervision(told).passed


def test_ready_is_said_once_the_first_full_pass_is_done(node: Node, play: Play) -> None:
    async def story() -> None:
        told = Told()
        supervised(node, told)
        node.want(web())
        async with node.running() as director:
            await until(lambda: "READY=1" in told)
            assert director.context.memory.passes
            await until(lambda: node.router.held)
            assert told.count("READY=1") == 1
            assert "WATCHDOG_USEC=12000000" in told

    play(story())


def test_a_director_that_waits_for_its_source_is_ready_and_says_what_it_waits_for(node: Node, play: Play) -> None:
    """The node is as it was, and there is nothing that a restart would better."""

    async def story() -> None:
        told = Told()
        supervised(node, told)
        async with node.running():
            await until(lambda: "READY=1" in told)
            assert "STATUS=waiting for the first word of source file" in told
            await until(lambda: told.meals >= 3, FEED_S * 4)

    play(story())


def test_a_kernel_that_cannot_be_read_makes_nobody_ready_and_feeds_nobody(node: Node, play: Play) -> None:
    async def story() -> None:
        told = Told()
        supervised(node, told)
        node.want(web())
        node.ipvs.fail_readings(errno.ENOMEM)
        async with node.running() as director:
            await until(lambda: director.context.standing.all)
            await until(lambda: any("kernel reading" in each for each in told))
            assert "READY=1" not in told
            assert told.meals == 0
            node.ipvs.fail_readings(0)
            await until(lambda: "READY=1" in told)
            fed = told.meals
            node.ipvs.fail_readings(errno.ENOMEM)
            with pytest.raises(AssertionError, match="not within"):
                await until(lambda: told.meals > fed + 1, 30)

    play(story())


def test_a_bird_that_does_not_answer_feeds_the_watchdog(node: Node, play: Play) -> None:
    """Its time-out was taken and handled: to kill the director would help nobody."""

    async def story() -> None:
        told = Told()
        supervised(node, told)
        node.want(web())
        async with node.running():
            await until(lambda: node.router.held)
            node.router.fault = BirdUnreachable("no answer within 2 s")
            fed = told.meals
            await until(lambda: told.meals > fed + 5, 30)
            assert any("degraded: bird: no answer" in each for each in told)

    play(story())


def test_glances_alone_feed_it_only_while_full_passes_come_round(node: Node, play: Play) -> None:
    """A glance does not talk to BIRD."""

    async def story() -> None:
        told = Told()
        supervision, context = Supervision(told), node.director().context
        supervision.passed(context, GLANCE, Ending.DONE)
        assert "READY=1" not in told
        supervision.passed(context, FULL, Ending.DONE)
        assert (told.count("READY=1"), told.meals) == (1, 1)
        await asyncio.sleep(FEED_S)
        supervision.passed(context, GLANCE, Ending.DONE)
        assert told.meals == 2
        await asyncio.sleep(context.settings.resync_s * MISSED_RESYNCS)
        supervision.passed(context, GLANCE, Ending.DONE)
        assert told.meals == 2
        supervision.passed(context, FULL, Ending.DONE)
        assert told.meals == 3

    play(story())


def test_a_slow_canary_gets_a_longer_watchdog(node: Node, play: Play) -> None:
    """It is the operator's choice; systemd takes another time from the daemon (sd_notify(3), WATCHDOG_USEC)."""

    async def story() -> None:
        told = Told()
        node.configure(canary_s=20.0, resync_s=30.0)
        Supervision(told).passed(node.director().context, FULL, Ending.DONE)
        assert "WATCHDOG_USEC=60000000" in told

    play(story())


def test_what_systemd_missed_is_said_again(node: Node, play: Play) -> None:
    async def story() -> None:
        told = Told()
        supervision, context = Supervision(told), node.director().context
        told.deaf = True
        supervision.passed(context, FULL, Ending.WAITING)
        told.deaf = False
        supervision.passed(context, FULL, Ending.WAITING)
        assert told[0].startswith("STATUS=waiting")
        assert told[1:] == ["READY=1", "WATCHDOG_USEC=12000000", "WATCHDOG=1"]

    play(story())


def test_a_status_is_said_once_until_it_changes(node: Node, play: Play) -> None:
    async def story() -> None:
        told = Told()
        supervised(node, told)
        node.want(web())
        async with node.running():
            await until(lambda: node.router.held)
            await asyncio.sleep(20)
            lines = [each for each in told if each.startswith("STATUS=")]
            assert len(lines) == len(set(lines))
            assert lines[-1] == "STATUS=1 of 1 VIPs announced; 2 of 2 BGP sessions up"

    play(story())


def test_the_status_names_the_first_trouble_and_counts_the_others(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP, ready=0))
            await until(lambda: node.router.held)
            node.source.say(SourceError("away\nfor good"))
            node.router.fault = BirdUnreachable("no answer")
            await until(lambda: "bird" in director.context.standing.all)
            assert status_line(director.context) == (
                "1 of 2 VIPs to be announced, BIRD does not say; degraded: source file: away for good; "
                "the last good state stays in force (and 1 more, see balanced status)"
            )

    play(story())
