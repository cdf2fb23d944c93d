"""Services inside our pools that somebody else made (fault 25): never touched, never announced in place of ours."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.decide.expect import expect_service
from appliance.director.loop import Director
from appliance.model.observed import ObservedService
from appliance.model.plan import AddDestination, AddService, RemoveService
from appliance.model.service import Forwarding, VirtualService
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
OURS = expect_service(web())
HIS = replace(OURS, service=VirtualService(key(), "wlc"))


def alarm(director: Director) -> str:
    return director.context.standing.all.get("foreign service", "")


def makes(node: Node, service: ObservedService = HIS) -> None:
    """Somebody else makes this."""
    name = service.service.key
    node.ipvs.apply(
        [AddService(service.service), *(AddDestination(name, each) for each in reversed(service.destinations))]
    )


def test_on_a_port_that_we_do_not_want_it_stays_as_it_is(node: Node, play: Play) -> None:
    strange = VirtualService(key(port=99), "wlc")

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            makes(node, ObservedService(strange))
            await until(lambda: "tcp/10.50.0.1:99, left as found" in alarm(director))
            await asyncio.sleep(120)
            assert node.ipvs.dump()[strange.key].service == strange
            assert node.router.history == [frozenset({VIP})]
            node.ipvs.flush()
            await until(lambda: not alarm(director))

    play(story())


def test_on_a_vip_that_nobody_wants_it_stays_as_it_is(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            makes(node, ObservedService(VirtualService(key(OTHER_VIP), "wlc")))
            await until(lambda: alarm(director))
            await asyncio.sleep(120)
            assert key(OTHER_VIP) in node.ipvs.dump()

    play(story())


def test_where_ours_should_be_ours_is_refused_until_it_is_gone(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(OTHER_VIP))
            await until(lambda: node.router.held)
            makes(node)
            node.want(web(OTHER_VIP), web())
            await until(lambda: "tcp/10.50.0.1:80 in place of ours" in alarm(director))
            await asyncio.sleep(120)
            assert node.ipvs.dump()[key()] == HIS
            assert node.router.held == {OTHER_VIP}
            node.ipvs.apply([RemoveService(key())])
            assert await until(lambda: node.router.held == {VIP, OTHER_VIP}) < 5
            assert not alarm(director)

    play(story())


def test_a_new_port_of_an_announced_vip_that_is_taken_withdraws_the_vip_here(node: Node, play: Play) -> None:
    """Other nodes may serve all of it; this one was read not to."""

    async def story() -> None:
        async with node.running():
            node.want(web(port=8080), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            makes(node)
            node.want(web(port=8080), web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {OTHER_VIP})

    play(story())


def test_what_was_ours_and_is_changed_by_hand_is_no_stranger(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            node.ipvs.flush()
            makes(node)
            await until(lambda: node.ipvs.dump()[key()] == OURS)
            assert not alarm(director)

    play(story())


def test_i7_the_next_director_knows_our_services_from_his(node: Node, play: Play) -> None:
    """Both stand on ports that nobody wants any more, and look alike."""
    his = expect_service(web(port=99))

    async def story() -> None:
        async with node.running():
            node.want(web(), web(port=8080))
            await until(lambda: node.router.held)
            makes(node, his)
        async with node.running() as director:
            node.want(web())
            await until(lambda: key(port=8080) not in node.ipvs.dump(), within_s=60)
            await asyncio.sleep(60)
            assert node.ipvs.dump()[his.service.key] == his
            assert "99" in alarm(director)
            assert node.router.history == [frozenset({VIP})]

    play(story())


def test_without_a_record_all_that_may_be_ours_is_taken_over(node: Node, play: Play, tmp_path: Path) -> None:
    """As after an upgrade from a release that kept none; what never was ours is left all the same."""
    masquerading = ObservedService(
        VirtualService(key(OTHER_VIP), "wlc"), (replace(OURS.destinations[0], forwarding=Forwarding.MASQUERADE),)
    )

    async def story() -> None:
        makes(node)
        makes(node, masquerading)
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held == {VIP})
            await until(lambda: alarm(director))
            assert node.ipvs.dump()[key()] == OURS
            assert node.ipvs.dump()[key(OTHER_VIP)] == masquerading
        assert "+ TCP 10.50.0.1 80" in (tmp_path / "claims").read_text()

    play(story())


def test_what_reads_as_it_should_is_taken_for_ours(node: Node, play: Play, tmp_path: Path) -> None:
    """So a record that could not be written heals."""
    (tmp_path / "claims").write_text("balanced-claims 1\n")

    async def story() -> None:
        makes(node, OURS)
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            assert not alarm(director)
            node.want(web(backends=4))
            await until(lambda: len(node.ipvs.dump()[key()].destinations) == 4)

    play(story())


@pytest.mark.parametrize("written", [True, False], ids=["record", "no_record"])
def test_a_record_that_cannot_be_written_stops_nothing(
    node: Node, play: Play, tmp_path: Path, *, written: bool
) -> None:
    record = tmp_path / "claims"
    if written:
        record.write_text("balanced-claims 1\n")

    async def story() -> None:
        async with node.running() as director:
            (tmp_path / "claims.new").mkdir()
            record.unlink(missing_ok=True)
            record.mkdir()
            node.want(web())
            await until(lambda: node.router.held)
            assert "claims" in director.context.standing.all
            record.rmdir()
            (tmp_path / "claims.new").rmdir()
            await until(lambda: "claims" not in director.context.standing.all)
        assert "+ TCP 10.50.0.1 80" in record.read_text()

    play(story())


def test_what_we_removed_is_claimed_no_more(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            node.want(web(OTHER_VIP))
            await until(lambda: key() not in node.ipvs.dump(), within_s=60)
            makes(node)
            await until(lambda: alarm(director))
            await asyncio.sleep(60)
            assert node.ipvs.dump()[key()] == HIS

    play(story())
