"""Active checks in a whole director: what fails its probes gets weight 0, and a prober that fails moves nothing."""

import asyncio
import errno
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from appliance.cli.show import show_status
from appliance.decide.check import CheckPolicy
from appliance.decide.panic import PanicPolicy
from appliance.director.status import status
from appliance.errors import KernelError
from appliance.model.desired import Announce
from appliance.model.service import Destination, Protocol, Tunnel, TunnelType
from tests.fakes.probing import FakeProber
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
FIRST, SECOND, THIRD = (ip_address(f"10.1.0.{number}") for number in (1, 2, 3))
VIPS = tuple(ip_address(f"10.50.0.{number}") for number in range(1, 6))
FALLEN_WITHIN_S = 3.2
"""Three failures at an interval of 1 s, the first of which may have to wait a whole interval."""


@pytest.fixture
def prober(node: Node) -> FakeProber:
    node.prober = FakeProber()
    return node.prober


def weights(node: Node, port: int = 80) -> list[int]:
    return [each.weight for each in node.ipvs.dump()[key(port=port)].destinations]


def all_weights(node: Node) -> list[tuple[Destination, ...]]:
    return [each.destinations for each in node.ipvs.dump().values()]


def test_a_backend_that_fails_its_probes_gets_weight_0_and_its_weight_back_when_it_answers(
    node: Node, prober: FakeProber, play: Play
) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            prober.dead.add(SECOND)
            assert 1.9 < await until(lambda: weights(node) == [1, 0, 1]) < FALLEN_WITHIN_S
            shown = status(director.context, "0")
            assert shown.checks is not None
            assert shown.checks.first_failing == ("tcp/10.50.0.1:80 at 10.1.0.2: no answer through the tunnel",)
            assert not shown.degraded
            assert "3 backends probed every 1 s" in show_status(shown, 200).plain
            assert "! fails its probes: tcp/10.50.0.1:80 at 10.1.0.2" in show_status(shown, 200).plain
            prober.dead.clear()
            assert await until(lambda: weights(node) == [1, 1, 1]) < 2.2

        assert len(node.router.history) == 1, "one backend less is no reason for a route to move"
        log = node.log.getvalue()
        assert log.count("fails its probes VIP=10.50.0.1 SERVICE=tcp/10.50.0.1:80 BACKEND=10.1.0.2") == 1
        assert log.count("answers its probes again") == 1
        assert "repairing" not in log

    play(story())


def test_a_vip_whose_backends_all_fail_their_probes_is_withdrawn(node: Node, prober: FakeProber, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(replace(web(), announce=Announce.ALWAYS), web(OTHER_VIP, backends=5))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            prober.dead |= {FIRST, SECOND, THIRD}
            await until(lambda: node.router.held == {OTHER_VIP})
            prober.dead.clear()
            await until(lambda: node.router.held == {VIP, OTHER_VIP})

    play(story())


def test_a_lost_probe_or_two_move_nothing(node: Node, prober: FakeProber, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            before = node.ipvs.dump()
            for _ in range(10):
                prober.dead.add(FIRST)
                await asyncio.sleep(2)
                prober.dead.clear()
                await asyncio.sleep(1)
            assert node.ipvs.dump() == before

        assert "fails its probes" not in node.log.getvalue()

    play(story())


def test_probes_never_raise_what_the_source_calls_not_ready(node: Node, prober: FakeProber, play: Play) -> None:
    """And it is not probed: who starts up is no failure."""

    async def story() -> None:
        async with node.running():
            node.want(web(ready=1))
            await until(lambda: prober.asked > 5)
            assert weights(node) == [1, 0, 0]
            assert {target.backend for target in prober.targets} == {FIRST}

    play(story())


def test_what_no_probe_can_speak_for_counts_as_its_source_says(node: Node, prober: FakeProber, play: Play) -> None:
    udp = replace(web(), key=replace(key(), protocol=Protocol.UDP))
    gue = replace(web(port=81), tunnel=Tunnel(TunnelType.GUE, 6080))

    async def story() -> None:
        async with node.running() as director:
            node.want(web(port=82), udp, gue)
            await until(lambda: node.router.held)
            prober.broken = True
            await until(lambda: weights(node, 82) == [0, 0, 0])
            assert weights(node, 81) == [1, 1, 1]
            assert {target.key for target in prober.targets} == {key(port=82)}
            shown = status(director.context, "0").checks
            assert shown is not None
            assert shown.unprobed == 6

    play(story())


def test_fault_20_a_prober_that_dies_moves_nothing_and_says_so_within_a_second_of_the_first_verdict(
    node: Node, prober: FakeProber, play: Play
) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(*(web(vip) for vip in VIPS))
            await until(lambda: node.router.held == set(VIPS))
            await asyncio.sleep(5)
            before = all_weights(node)
            prober.broken = True
            assert await until(lambda: "checks held" in status(director.context, "0").conditions) < FALLEN_WITHIN_S
            await asyncio.sleep(60)
            assert all_weights(node) == before
            prober.broken = False
            await until(lambda: "checks held" not in status(director.context, "0").conditions)
            await asyncio.sleep(10)
            assert all_weights(node) == before

        assert len(node.router.history[-1]) == len(VIPS)
        assert len(node.router.history) == 1
        assert "fails its probes" not in node.log.getvalue()

    play(story())


def test_what_died_during_a_hold_is_found_after_it(node: Node, prober: FakeProber, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(*(web(vip) for vip in VIPS))
            await until(lambda: node.router.held == set(VIPS))
            prober.broken = True
            await until(lambda: director.context.memory.panic.held)
            prober.dead.add(SECOND)
            prober.broken = False
            await until(lambda: all(each[1].weight == 0 for each in all_weights(node)))
            assert all(each[0].weight == each[2].weight == 1 for each in all_weights(node))

        assert len(node.router.history) == 1

    play(story())


def test_a_person_can_have_the_probes_believed(node: Node, prober: FakeProber, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(*(web(vip) for vip in VIPS))
            await until(lambda: node.router.held == set(VIPS))
            prober.broken = True
            await until(lambda: director.context.memory.panic.held)
            await asyncio.sleep(5)
            assert director.confirm() == tuple(map(str, VIPS))
            assert "checks held" not in status(director.context, "0").conditions
            assert await until(lambda: not node.router.held) < 1.1
            await asyncio.sleep(20)
            assert not node.router.held

    play(story())


def test_without_the_hold_a_dead_prober_would_withdraw_everything(node: Node, prober: FakeProber, play: Play) -> None:
    """The tests of the hold could not pass for another reason."""
    node.configure(panic=PanicPolicy(max_lost_fraction=1.0))

    async def story() -> None:
        async with node.running():
            node.want(*(web(vip) for vip in VIPS))
            await until(lambda: node.router.held == set(VIPS))
            prober.broken = True
            await until(lambda: not node.router.held)

    play(story())


def test_a_prober_that_cannot_work_at_all_holds_every_verdict_and_is_a_condition(
    node: Node, prober: FakeProber, play: Play
) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            prober.dead.add(SECOND)
            await until(lambda: node.router.held and weights(node) == [1, 0, 1])
            prober.fault = KernelError("open", "probe sockets for IPv4", errno.EPERM, hint="give it CAP_NET_RAW")
            prober.dead = {FIRST, SECOND, THIRD}
            await until(lambda: "checks" in status(director.context, "0").conditions)
            assert "CAP_NET_RAW" in status(director.context, "0").conditions["checks"]
            await asyncio.sleep(60)
            assert weights(node) == [1, 0, 1]
            prober.fault, prober.dead = None, set()
            await until(lambda: weights(node) == [1, 1, 1])
            assert "checks" not in status(director.context, "0").conditions

    play(story())


def test_a_probe_that_cannot_be_sent_says_nothing_about_its_backend(node: Node, prober: FakeProber, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            prober.unsent.add(SECOND)
            await until(lambda: "checks" in status(director.context, "0").conditions)
            await asyncio.sleep(30)
            assert weights(node) == [1, 1, 1]
            node.want(web(backends=1))
            await until(lambda: "checks" not in status(director.context, "0").conditions)

        assert node.log.getvalue().count("probes cannot be sent: EPERM") == 1

    play(story())


def test_i7_a_restarted_director_sends_nobody_to_a_backend_that_was_found_dead(
    node: Node, prober: FakeProber, play: Play
) -> None:
    async def story() -> None:
        prober.dead.add(SECOND)
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held and weights(node) == [1, 0, 1])
        node.prober = again = FakeProber()
        again.dead.add(SECOND)
        seen: list[list[int]] = []
        async with node.running():
            node.want(web())
            while again.asked < 20:
                seen.append(weights(node))
                await asyncio.sleep(0.01)
            again.dead.clear()
            await until(lambda: weights(node) == [1, 1, 1])
        assert all(each == [1, 0, 1] for each in seen)

    play(story())


def test_a_backend_that_leaves_takes_its_verdict_along(node: Node, prober: FakeProber, play: Play) -> None:
    node.configure(drain_time_s=0.0)

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            prober.dead.add(THIRD)
            await until(lambda: weights(node) == [1, 1, 0])
            node.want(web(backends=2))
            await until(lambda: weights(node) == [1, 1])
            assert not director.context.memory.checks
            assert not director.context.memory.failing
            assert {target.backend for target in prober.targets} == {FIRST, SECOND}
            prober.dead.clear()
            node.want(web())
            await until(lambda: weights(node) == [1, 1, 1])

    play(story())


def test_many_verdicts_at_once_are_told_in_one_line(node: Node, prober: FakeProber, play: Play) -> None:
    node.configure(check=CheckPolicy(rise=1, fall=2))
    prober.dead |= {ip_address(f"10.1.0.{number}") for number in range(1, 51)}

    async def story() -> None:
        async with node.running() as director:
            node.want(web(backends=60))
            await until(lambda: node.router.held and sum(weights(node)) == 10)
            lines = show_status(status(director.context, "0"), 200).plain.splitlines()
            assert sum("fails its probes" in line for line in lines) == 20
            assert "! and 30 more" in lines
        before = len(node.log.getvalue())
        async with node.running():
            node.want(web(backends=60))
            await until(lambda: "fails its probes" in node.log.getvalue()[before:])

        said = [line for line in node.log.getvalue()[before:].splitlines() if "fails its probes" in line]
        assert said == ["warning fails its probes: 50 backends SERVICES=1"]

    play(story())


def test_without_a_prober_nothing_is_probed(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            assert not director.context.memory.probed
            assert status(director.context, "0").checks is None

    play(story())
