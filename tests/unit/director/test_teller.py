"""What a director tells the owners of services, by the passes of a whole director on fakes."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from appliance.decide.gate import GatePolicy
from appliance.decide.tell import NOT_ANNOUNCED_AFTER_S
from appliance.errors import SourceError
from appliance.model.desired import Problem, Snapshot
from appliance.model.drain import Drain, Drains
from appliance.model.happening import Happening, Reason
from tests.fakes.publisher import FakePublisher
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
OWNER = web().owner


def test_a_service_is_created_and_then_announced(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(lambda: "Announced" in publisher.of(OWNER))
            assert node.router.held == {VIP}
            assert publisher.of(OWNER) == ["CreatedIPVSService", "CreatedIPVSDestination", "Announced"]
            assert publisher.told[-1].text == "10.50.0.1: read back from the kernel"

    play(story())


def test_a_withdrawal_tells_the_reason_in_words(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(lambda: node.router.held)
            node.want(web(ready=0))
            await until(lambda: "Withdrawn" in publisher.of(OWNER))
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
            assert "Announced" not in publisher.of(OWNER)
            node.router.deaf = False
            await until(lambda: "Announced" in publisher.of(OWNER))

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
            assert publisher.of(OWNER) == []

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
            await until(lambda: publisher.of(OWNER) == ["UpdatedIPVSDestination", "Withdrawn"])

    play(story())


def test_what_is_refused_is_told_once(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()
    problem = Problem("service default/bad: port 80", "targetPort 8080 differs from port 80", "", "default/bad", True)

    async def story() -> None:
        async with node.running():
            for count in (1, 2, 3):
                node.source.say(Snapshot("kubernetes", (web(backends=count),), (problem,)))
            await until(lambda: key() in node.ipvs.dump() and len(node.ipvs.dump()[key()].destinations) == 3)
            assert publisher.of("default/bad") == ["Refused"]

    play(story())


def test_a_service_that_is_never_announced_is_told_why_once_that_has_stood_for_seconds(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(web(ready=0), web(OTHER_VIP))
        async with node.running():
            took_s = await until(lambda: "NotAnnounced" in publisher.of(OWNER), within_s=2 * node.settings.resync_s)
            assert took_s >= NOT_ANNOUNCED_AFTER_S
            assert publisher.told[-1] == Happening(
                OWNER, Reason.NOT_ANNOUNCED, "10.50.0.1: 0 of 1 needed backends ready"
            )
            await asyncio.sleep(600)
            assert publisher.of(OWNER).count("NotAnnounced") == 1
            assert "NotAnnounced" not in publisher.of(web(OTHER_VIP).owner)

    play(story())


def test_another_reason_is_told_as_well(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(web(ready=0))
        async with node.running():
            await until(lambda: "NotAnnounced" in publisher.of(OWNER), within_s=2 * node.settings.resync_s)
            node.link.taken = True
            node.link.lose(VIP)
            node.monitor.report()
            await until(lambda: publisher.of(OWNER).count("NotAnnounced") == 2, within_s=3 * node.settings.resync_s)
            assert publisher.told[-1].text == "10.50.0.1: address 10.50.0.1/32 is not on the link"

    play(story())


def test_who_heard_of_the_withdrawal_does_not_hear_the_same_reason_again(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(lambda: node.router.held)
            node.want(web(ready=0))
            await until(lambda: "Withdrawn" in publisher.of(OWNER))
            await asyncio.sleep(600)
            assert publisher.of(OWNER)[-1] == "Withdrawn"
            node.want(web())
            await until(lambda: publisher.of(OWNER)[-1] == "Announced")

    play(story())


def test_a_vip_that_is_only_being_proven_is_nothing_to_tell(node: Node, play: Play) -> None:
    """Nor one that is held down, for however long: damping is told by what it damps."""
    publisher = node.publisher = FakePublisher()
    node.configure(gate=GatePolicy(rise=60), proof_interval_s=1.0)

    async def story() -> None:
        node.want(web())
        async with node.running():
            await until(lambda: node.router.held, within_s=120)
            assert "NotAnnounced" not in publisher.of(OWNER)

    play(story())


def test_what_an_operator_drained_is_nothing_to_warn_the_owners_of(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(web(ready=0))
        async with node.running() as director:
            order = Drain("alice", "new kernel", datetime(2026, 1, 2, tzinfo=UTC))
            director.context.memory.drains = Drains(node=order)
            await asyncio.sleep(600)
            assert "NotAnnounced" not in publisher.of(OWNER)

    play(story())


def test_services_that_are_written_in_files_are_nobodys_in_the_cluster(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        node.want(replace(web(), origin="web.yaml:1"), web(OTHER_VIP))
        async with node.running():
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            assert publisher.of(OWNER) == []
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
