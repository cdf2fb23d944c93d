"""What a director tells the owners of services, by the passes of a whole director on fakes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from appliance.errors import SourceError
from appliance.model.desired import Problem, Snapshot
from appliance.model.happening import Happening, Reason
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
OWNER = web().owner


class FakePublisher:
    """Keeps what it is told; its ``failures`` are what the test puts there."""

    def __init__(self) -> None:
        self.told: list[Happening] = []
        self.failures: asyncio.Queue[SourceError | None] = asyncio.Queue()

    def report(self, happenings: Sequence[Happening]) -> None:
        self.told.extend(happenings)

    async def outcomes(self) -> AsyncIterator[SourceError | None]:
        while True:
            yield await self.failures.get()

    def of(self, owner: str = OWNER) -> list[str]:
        """The reasons told to an owner, in order."""
        return [each.reason.value for each in self.told if each.owner == owner]


def test_a_service_is_created_and_then_announced(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(lambda: "Announced" in publisher.of())
            assert node.router.held == {VIP}
            assert publisher.of() == ["CreatedIPVSService", "CreatedIPVSDestination", "Announced"]
            assert publisher.told[-1].text == "10.50.0.1: read back from the kernel"

    play(story())


def test_a_withdrawal_tells_the_reason_in_words(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(lambda: node.router.held)
            node.want(web(ready=0))
            await until(lambda: "Withdrawn" in publisher.of())
            assert publisher.told[-1] == Happening(OWNER, Reason.WITHDRAWN, "10.50.0.1: 0 of 1 needed backends ready")

    play(story())


def test_a_vip_is_not_told_to_be_announced_while_bird_does_not_hold_it(node: Node, play: Play) -> None:
    """The gate is open and BIRD says yes, but the route is not there."""
    publisher = node.publisher = FakePublisher()
    node.router.deaf = True

    async def story() -> None:
        node.want(web())
        async with node.running() as director:
            await until(lambda: director.context.memory.announce)
            passes = director.context.memory.passes
            await until(lambda: director.context.memory.passes > passes + 2)
            assert "Announced" not in publisher.of()
            node.router.deaf = False
            await until(lambda: "Announced" in publisher.of())

    play(story())


def test_a_service_that_is_deleted_is_told_to_whom_it_was(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(web(), web(OTHER_VIP))
        async with node.running():
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            publisher.told.clear()
            node.want(web())
            await until(lambda: publisher.told and publisher.told[-1].reason is Reason.DELETED_SERVICE)
            assert publisher.of(web(OTHER_VIP).owner) == ["Withdrawn", "DeletedIPVSService"]
            assert publisher.of() == []

    play(story())


def test_a_backend_that_goes_drains_and_is_deleted(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()
    node.configure(drain_time_s=2.0)

    async def story() -> None:
        node.want(web(backends=3))
        async with node.running():
            await until(lambda: node.router.held)
            publisher.told.clear()
            node.want(web(backends=2))
            await until(lambda: publisher.told and publisher.told[-1].reason is Reason.DELETED_DESTINATION)
            assert [each.text for each in publisher.told] == [
                "tcp/10.50.0.1:80: 10.1.0.3 weight 0",
                "tcp/10.50.0.1:80: 10.1.0.3",
            ]

    play(story())


def test_a_restarted_director_tells_nothing_that_was_told_before(node: Node, play: Play) -> None:
    """I7: it finds everything in place, and nothing has happened."""

    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(lambda: node.router.held)
        publisher = node.publisher = FakePublisher()
        node.want(web())
        async with node.running() as director:
            await until(lambda: director.context.memory.passes > 3)
            assert publisher.told == []
            node.want(web(ready=0))
            await until(lambda: publisher.of() == ["UpdatedIPVSDestination", "Withdrawn"])

    play(story())


def test_what_is_refused_is_told_once(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()
    problem = Problem("service default/bad: port 80", "targetPort 8080 differs from port 80", "", "default/bad")

    async def story() -> None:
        async with node.running():
            for count in (1, 2, 3):
                node.source.say(Snapshot("kubernetes", (web(backends=count),), (problem,)))
            await until(lambda: key() in node.ipvs.dump() and len(node.ipvs.dump()[key()].destinations) == 3)
            assert publisher.of("default/bad") == ["Refused"]

    play(story())


def test_services_that_are_written_in_files_are_nobodys_in_the_cluster(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(replace(web(), origin="web.yaml:1"), web(OTHER_VIP))
        async with node.running():
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            assert publisher.of() == []
            assert publisher.of(web(OTHER_VIP).owner)

    play(story())


def test_events_that_cannot_be_written_are_one_condition_and_disturb_nothing(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        async with node.running() as director:
            publisher.failures.put_nowait(SourceError("the API server answers 403 to create"))
            await until(lambda: "events" in director.context.standing.all)
            assert "nothing but Events is concerned" in director.context.standing.all["events"]
            node.want(web())
            await until(lambda: node.router.held)
            publisher.failures.put_nowait(None)
            await until(lambda: not director.context.standing.all)

    play(story())
