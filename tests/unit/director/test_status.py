"""What the status says about a director on fakes, in each of the states that an operator may meet."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from appliance.director.loop import Director
from appliance.director.status import Status, VipStatus, status
from appliance.errors import BirdUnreachable
from appliance.model.desired import Problem, Snapshot
from appliance.model.routing import PeerView, Routing
from tests.fakes.outside import FakeRouter
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]


class LonelyRouter(FakeRouter):
    """A BIRD with one session up and one down, or none up at all."""

    up = False

    async def observe(self) -> Routing:
        routing = await super().observe()
        first, second = routing.peers
        return replace(routing, peers=(replace(first, established=self.up), PeerView(second.name, established=False)))


def now(director: Director) -> Status:
    return status(director.context, "0.1.0")


def shown(director: Director, vip: object = VIP) -> VipStatus:
    return next(each for each in now(director).vips if each.vip == str(vip))


def test_a_director_that_has_heard_nothing_says_what_it_waits_for(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            await asyncio.sleep(10)
            found = now(director)
            assert found.degraded
            assert found.waiting_for == "first word of source file"
            assert (found.node, found.version, found.vips, found.passes) == ("d1", "0.1.0", (), 0)

    play(story())


def test_a_node_in_good_health_shows_every_field(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(backends=4, ready=3), web(port=443), web(OTHER_VIP, ready=0))
            await until(lambda: node.router.held)
            await asyncio.sleep(20)
            found = now(director)
            assert not found.degraded
            assert (found.waiting_for, found.conditions, found.problems, found.draining) == ("", {}, (), 0)
            assert found.bird == "2.17"
            assert [(peer.name, peer.established, peer.announced) for peer in found.peers] == [
                ("r1", True, 1),
                ("r2", True, 1),
            ]
            assert found.passes > 3
            announced, withdrawn = found.vips
            assert (announced.vip, announced.state, announced.kernel) == (str(VIP), "announced", "proven")
            assert announced.services == ("tcp/80", "tcp/443")
            assert announced.owners == (f"default/web-{VIP}-443", f"default/web-{VIP}-80")
            assert (announced.backends_ready, announced.backends) == (6, 7)
            assert announced.announced_to == ("r1", "r2")
            assert 19 < announced.for_s < 21
            assert (announced.flaps, announced.recent_repairs) == (0, 0)
            assert announced.reason == "read back from the kernel"
            assert (withdrawn.state, withdrawn.announced_to) == ("withdrawn", ())
            assert withdrawn.reason == "0 of 1 needed backends ready"
            assert withdrawn.kernel == "proven", "nothing is wrong with the kernel"

    play(story())


def test_a_fault_of_the_kernel_is_told_in_words(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            node.link.taken = True
            node.link.lose(VIP)
            node.monitor.report()
            await until(lambda: not node.router.held)
            assert shown(director).kernel == "address 10.50.0.1/32 is not on the link"
            assert shown(director).flaps == 1
            assert now(director).degraded
            assert "EEXIST" in now(director).conditions[f"kernel {VIP}"]

    play(story())


def test_no_session_established_is_isolation(node: Node, play: Play) -> None:
    node.router = LonelyRouter()

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            assert "isolated" in now(director).conditions
            assert now(director).degraded
            assert shown(director).announced_to == (), "told to nobody, whatever BIRD holds"

    play(story())


def test_fault_30_the_journal_tells_once_that_the_node_is_isolated_and_once_that_it_is_no_more(
    node: Node, play: Play
) -> None:
    node.router = router = LonelyRouter()

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: director.context.memory.passes > 15)
            router.up = True
            await until(lambda: not now(director).degraded)
        told = [line for line in node.log.getvalue().splitlines() if "BGP session" in line or "isolated" in line]
        assert len(told) == 2
        assert "no BGP session is established" in told[0]
        assert "isolated is well again" in told[1]

    play(story())


def test_one_session_of_two_is_no_isolation(node: Node, play: Play) -> None:
    node.router = router = LonelyRouter()
    router.up = True

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            assert not now(director).degraded
            assert shown(director).announced_to == ("r1",)

    play(story())


def test_a_bird_that_does_not_answer_is_a_condition_and_nothing_is_claimed(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            node.router.fault = BirdUnreachable("no answer")
            await until(lambda: now(director).degraded)
            found = now(director)
            assert (found.bird, found.peers) == ("", ())
            assert found.conditions == {"bird": "no answer"}
            assert shown(director).state == "announced"
            assert shown(director).announced_to == ()

    play(story())


def test_what_was_refused_is_listed_and_the_rest_is_served(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            stray = web(ip_address("192.0.2.1"))
            node.source.say(Snapshot("file", (web(), stray), (Problem("a.yaml:1", "no port", "write one"),)))
            await until(lambda: node.router.held)
            found = now(director)
            assert found.degraded
            assert found.problems[0] == "a.yaml:1: no port (write one)"
            assert "192.0.2.1 is outside the pools" in found.problems[1]
            assert [each.vip for each in found.vips] == [str(VIP)]

    play(story())


def test_a_vip_that_goes_is_shown_as_removing_until_it_is_gone(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP, backends=2))
            await until(lambda: len(node.router.held) == 2)
            node.want(web(backends=2))
            await until(lambda: OTHER_VIP not in node.router.held)
            assert (shown(director, OTHER_VIP).state, shown(director, OTHER_VIP).services) == ("removing", ())
            assert now(director).draining == 1
            await until(lambda: key(OTHER_VIP) not in node.ipvs.dump())
            await until(lambda: len(now(director).vips) == 1)
            assert not now(director).degraded

    play(story())


def test_vips_are_listed_in_the_order_of_their_addresses(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            wanted = [ip_address(f"10.50.0.{number}") for number in (10, 9, 100)]
            node.want(*map(web, wanted))
            await until(lambda: len(node.router.held) == 3)
            assert [each.vip for each in now(director).vips] == ["10.50.0.9", "10.50.0.10", "10.50.0.100"]

    play(story())
