"""BIRD's own configuration is put in place by the passes, and tried again until BIRD has taken it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from appliance.director.herald import REFUSED_PAUSE_S
from appliance.errors import BirdError, BirdRejected, BirdUnreachable
from tests.unit.director.harness import VIP, Node, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
CONDITION = "bird configuration"


def test_bird_is_configured_before_any_source_has_spoken(node: Node, play: Play) -> None:
    """A node that serves nothing yet has its sessions up all the same, and the second pass does not ask again."""

    async def story() -> None:
        async with node.running():
            await until(lambda: node.router.installs)
            await asyncio.sleep(60)

        assert node.router.installs == 1
        assert not node.router.history

    play(story())


def test_a_bird_that_is_down_at_start_is_configured_when_it_answers(node: Node, play: Play) -> None:
    async def story() -> None:
        node.router.fault = BirdUnreachable("no answer")
        async with node.running() as director:
            node.want(web())
            await until(lambda: CONDITION in director.context.standing.all)
            await asyncio.sleep(20)
            assert node.router.installs > 3
            node.router.fault = None
            assert await until(lambda: CONDITION not in director.context.standing.all) <= node.settings.resync_s
            await until(lambda: node.router.held == {VIP})

        assert node.log.getvalue().count('CONDITION="bird configuration"') == 2, "said when it began and when it ended"

    play(story())


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(BirdRejected("configure check", 8002, "bird.conf:7:1 syntax error"), id="does not parse"),
        pytest.param(BirdError("BIRD has read its configuration, but has no session tor1"), id="undone"),
    ],
)
def test_a_refusal_is_tried_again_once_a_minute_and_forgotten_when_it_works(
    refusal: BirdError, node: Node, play: Play
) -> None:
    """Each try may restart sessions; meanwhile the VIPs are announced by what BIRD runs."""

    async def story() -> None:
        node.router.refusal = refusal
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held == {VIP})
            assert director.context.standing.all == {CONDITION: str(refusal)}
            await asyncio.sleep(REFUSED_PAUSE_S - 10)
            assert node.router.installs == 1
            node.router.refusal = None
            await until(lambda: not director.context.standing.all, within_s=10 + node.settings.resync_s)
            assert node.router.installs == 2

    play(story())
