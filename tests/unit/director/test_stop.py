"""A director that is told to stop ends between two passes, and never in the middle of one."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest

from appliance.director.loop import Director
from appliance.director.serve import STOP_S, serve
from appliance.model.plan import ServiceStep, StepResult
from appliance.model.routing import Announcement, Routing
from appliance.telemetry.journal import Journal
from tests.fakes.kernel import FakeIpvs
from tests.fakes.outside import FakeRouter
from tests.unit.director.harness import VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
DEADLINE_S = 10


class SlowIpvs(FakeIpvs):
    """A kernel in which applying takes until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.release = threading.Event(), threading.Event()
        self.closed = False

    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]:
        self.entered.set()
        assert self.release.wait(DEADLINE_S)
        assert not self.closed, "the socket was closed under the thread that uses it"
        return super().apply(steps)

    def close(self) -> None:
        self.closed = True


class HangingRouter(FakeRouter):
    """A BIRD whose answer to a change never comes."""

    async def publish(self, announcement: Announcement) -> Routing:
        self.history.append(announcement.vips)
        await forever()
        raise AssertionError


async def forever() -> None:
    await asyncio.Event().wait()


def served(node: Node, director: Director, *ends: asyncio.Event) -> asyncio.Task[None]:
    return asyncio.create_task(serve(director, forever(), Journal(node.log, prefix=False), ends))


async def in_time(work: Awaitable[None]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await work


def test_fault_43_a_stop_in_the_middle_of_apply_waits_for_the_pass(node: Node) -> None:
    """On real time and with a real thread: the socket is closed after it was used, and no service is left half made."""

    async def story() -> None:
        node.ipvs = ipvs = SlowIpvs()
        stop = asyncio.Event()
        director = node.director()
        serving = served(node, director, stop)
        node.want(web())
        await asyncio.to_thread(ipvs.entered.wait, DEADLINE_S)
        stop.set()
        for _ in range(100):
            await asyncio.sleep(0)
        assert not serving.done()
        ipvs.release.set()
        await in_time(serving)
        ipvs.close()
        assert ipvs.dump()[key()].destinations
        assert director.context.memory.passes == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(story())


def test_a_director_with_nothing_to_do_stops_at_once(node: Node, play: Play) -> None:
    async def story() -> None:
        stop, reload = asyncio.Event(), asyncio.Event()
        director = node.director()
        serving = served(node, director, stop, reload)
        node.want(web())
        await until(lambda: node.router.held)
        await until(lambda: director.context.memory.gates[VIP].announce)
        reload.set()
        assert await until(serving.done) < 0.1
        assert not serving.exception()
        assert node.router.held == {VIP}

    play(story())


def test_a_pass_that_does_not_end_is_given_up_after_the_bound(node: Node, play: Play) -> None:
    async def story() -> None:
        node.router = HangingRouter()
        stop = asyncio.Event()
        serving = served(node, node.director(), stop)
        node.want(web())
        await until(lambda: node.router.history)
        stop.set()
        assert STOP_S <= await until(serving.done, within_s=60) < STOP_S + 0.1
        assert "the pass at hand did not end in time" in node.log.getvalue()

    play(story())


def test_i8_a_bug_in_a_pass_is_raised_through_everything(node: Node, play: Play) -> None:
    async def story() -> None:
        node.ipvs.dump = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]  # a bug, made on purpose
        node.want(web())
        with pytest.raises(ExceptionGroup) as caught:
            await in_time(served(node, node.director(), asyncio.Event()))

        assert caught.group_contains(ZeroDivisionError)

    play(story())


def test_i8_a_bug_found_by_the_last_pass_is_raised_although_it_was_told_to_stop(node: Node) -> None:
    async def story() -> None:
        node.ipvs = ipvs = SlowIpvs()
        stop = asyncio.Event()
        serving = served(node, node.director(), stop)
        node.want(web())
        await asyncio.to_thread(ipvs.entered.wait, DEADLINE_S)
        stop.set()
        ipvs.close()
        ipvs.release.set()
        with pytest.raises(ExceptionGroup) as caught:
            await in_time(serving)

        assert caught.group_contains(AssertionError)

    asyncio.run(story())


def test_i8_a_control_socket_that_fails_ends_the_director(node: Node, play: Play) -> None:
    async def story() -> None:
        async def broken() -> None:
            raise OSError("address already in use")

        with pytest.raises(OSError, match="already in use"):
            await serve(node.director(), broken(), Journal(node.log, prefix=False), [asyncio.Event()])

    play(story())


def test_i8_a_bug_in_what_wakes_the_passes_ends_the_director(node: Node, play: Play) -> None:
    async def story() -> None:
        node.want(web())
        node.source.say("no snapshot at all")  # type: ignore[arg-type]  # a bug, made on purpose
        with pytest.raises(ExceptionGroup) as caught:
            await in_time(served(node, node.director(), asyncio.Event()))

        assert caught.group_contains(AttributeError)

    play(story())
