"""The loop as a whole: what BIRD is told, and when, as the kernel, the sources and BIRD itself change."""

import asyncio
import errno
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from appliance.errors import BirdUnreachable, SourceError
from appliance.model.observed import ObservedService
from appliance.model.plan import AddService, SetDestination
from appliance.model.service import Protocol, ServiceKey, VirtualService
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]


def test_i1_a_vip_is_announced_after_rise_readings_and_not_before(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: VIP in director.context.memory.gates)
            assert not node.router.history
            await until(lambda: node.router.held)

        assert [frozenset({VIP})] == node.router.history
        assert node.link.dump().addresses == {VIP}
        assert node.ipvs.dump()[key()].service.scheduler == "mh"

    play(story())


def test_a_vip_without_a_ready_backend_is_never_announced(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web(ready=0))
            await asyncio.sleep(60)

        assert not node.router.history

    play(story())


def test_fault_19_the_last_backend_gone_withdraws_within_a_second(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web(), web(OTHER_VIP))
            await until(lambda: len(node.router.held) == 2)
            node.want(web(ready=0), web(OTHER_VIP))
            assert await until(lambda: VIP not in node.router.held) < 1.0
            assert OTHER_VIP in node.router.held

    play(story())


def test_fault_23_a_flushed_table_is_rebuilt_without_a_word_to_bird(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            node.ipvs.flush()
            assert await until(lambda: key() in node.ipvs.dump()) < 1.5
            await asyncio.sleep(30)

        assert len(node.router.history) == 1

    play(story())


def test_a_table_that_is_flushed_again_and_again_withdraws_and_comes_back(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)

            async def fight() -> None:
                while True:
                    node.ipvs.flush()
                    await asyncio.sleep(0.05)

            fighter = asyncio.create_task(fight())
            assert await until(lambda: not node.router.held) < 1.5
            await asyncio.sleep(60)
            fighter.cancel()
            await until(lambda: node.router.held, within_s=70)

        assert node.log.getvalue().count("repairing") <= node.settings.gate.max_repairs

    play(story())


def test_fault_24_an_edited_destination_is_repaired_and_said_old_and_new(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            edited = node.ipvs.dump()[key()].destinations[0]
            node.ipvs.apply([SetDestination(key(), type(edited)(edited.address, 80, 7))])
            await until(lambda: node.ipvs.dump()[key()].destinations[0] == edited)

        assert len(node.router.history) == 1
        assert "weight 7 -> tunnel/ipip weight 1" in node.log.getvalue()

    play(story())


def test_fault_29_a_deleted_address_is_put_back_as_soon_as_the_kernel_tells(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            node.link.lose(VIP)
            node.monitor.report()
            assert await until(lambda: VIP in node.link.dump().addresses) < 0.1

        assert len(node.router.history) == 1

    play(story())


def test_a_node_without_a_route_to_its_backends_does_not_serve(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            node.routes.lose(ip_network("10.1.0.0/24"))
            node.monitor.report()
            assert await until(lambda: not node.router.held) < 1.1
            node.routes.restore()
            node.monitor.report()
            await until(lambda: node.router.held)

    play(story())


def test_i2_nothing_is_removed_before_bird_was_silent_for_the_settle_time(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web(), web(OTHER_VIP))
            await until(lambda: len(node.router.held) == 2)
            node.router.deaf = True
            node.want(web(OTHER_VIP))
            await asyncio.sleep(60)
            assert key() in node.ipvs.dump()
            assert VIP in node.link.dump().addresses
            node.router.deaf = False
            await until(lambda: VIP not in node.router.held)
            assert await until(lambda: key() not in node.ipvs.dump()) >= node.settings.settle_s
            await until(lambda: VIP not in node.link.dump().addresses)

    play(story())


def test_i3_a_silent_source_changes_nothing_and_degrades_the_status(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            node.source.say(SourceError("web.yaml:3: broken"))
            await asyncio.sleep(60)
            assert node.router.held == {VIP}
            assert director.context.standing.all

    play(story())


def test_i5_foreign_services_and_addresses_are_never_touched(node: Node, play: Play) -> None:
    foreign = ServiceKey(ip_address("192.0.2.9"), Protocol.TCP, 80)

    async def story() -> None:
        node.ipvs.apply([AddService(VirtualService(foreign, "wlc"))])
        before = node.ipvs.dump()[foreign]
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            await asyncio.sleep(30)

        assert before == ObservedService(before.service) == node.ipvs.dump()[foreign]

    play(story())


def test_i7_a_restarted_director_tells_bird_nothing(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
        told = len(node.router.history)
        async with node.running():
            node.want(web())
            await asyncio.sleep(60)

        assert told == len(node.router.history)
        assert node.router.held == {VIP}

    play(story())


def test_a_vanished_backend_drains_and_its_clock_survives_a_restart(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web(backends=3))
            await until(lambda: node.router.held)
            node.want(web(backends=2))
            await until(lambda: [each.weight for each in node.ipvs.dump()[key()].destinations] == [1, 1, 0])
            await asyncio.sleep(20)
        async with node.running():
            node.want(web(backends=2))
            await asyncio.sleep(5)
            assert len(node.ipvs.dump()[key()].destinations) == 3
            assert await until(lambda: len(node.ipvs.dump()[key()].destinations) == 2) < 6

    play(story())


def test_bird_out_of_reach_removes_nothing_and_is_told_when_it_is_back(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web(), web(OTHER_VIP))
            await until(lambda: len(node.router.held) == 2)
            node.router.fault = BirdUnreachable("no answer")
            node.want(web(OTHER_VIP))
            await asyncio.sleep(60)
            assert key() in node.ipvs.dump()
            node.router.fault = None
            await until(lambda: node.router.held == {OTHER_VIP})

    play(story())


def test_fault_47_one_of_two_services_on_a_vip_goes_and_the_vip_stays(node: Node, play: Play) -> None:
    node.configure(drain_time_s=0.0)

    async def story() -> None:
        async with node.running():
            node.want(web(port=80), web(port=443))
            await until(lambda: node.router.held)
            node.want(web(port=443))
            await until(lambda: key(port=80) not in node.ipvs.dump())

        assert [frozenset({VIP})] == node.router.history
        assert key(port=443) in node.ipvs.dump()

    play(story())


def test_i8_an_unknown_exception_ends_the_director(node: Node, play: Play) -> None:
    async def story() -> None:
        director = node.director()
        node.ipvs.dump = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]  # a bug, made on purpose
        node.want(web())
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(60):
                await director.run()

        assert caught.group_contains(ZeroDivisionError)

    play(story())


def test_a_repair_that_the_kernel_swallows_withdraws(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web(), web(OTHER_VIP))
            await until(lambda: len(node.router.held) == 2)
            edited = node.ipvs.dump()[key()].destinations[0]
            node.ipvs.apply([SetDestination(key(), replace(edited, weight=9))])
            for number in range(1, 20):
                node.ipvs.swallow_step(number)
            assert await until(lambda: VIP not in node.router.held) <= node.settings.resync_s
            assert OTHER_VIP in node.router.held

    play(story())


def test_fault_26_a_step_that_fails_keeps_only_its_own_vip_back(node: Node, play: Play) -> None:
    async def story() -> None:
        node.ipvs.fail_step(2, errno.EINVAL)
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await until(lambda: OTHER_VIP in node.router.held)
            assert "EINVAL" in node.log.getvalue()
            await until(lambda: VIP in node.router.held)
            assert not director.context.standing.all

    play(story())


def test_fault_28_a_kernel_that_cannot_be_read_changes_nothing(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            node.ipvs.fail_readings(errno.ENOBUFS)
            await asyncio.sleep(60)
            assert node.router.held == {VIP}
            assert "kernel reading" in director.context.standing.all
            node.ipvs.fail_readings(0)
            await until(lambda: not director.context.standing.all)

        assert len(node.router.history) == 1

    play(story())
