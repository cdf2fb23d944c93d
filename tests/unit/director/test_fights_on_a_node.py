"""Somebody keeps undoing what the director puts into the kernel."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from appliance.director.loop import Director
from appliance.model.plan import AddService, RemoveDestination, RemoveService, SetDestination, SetService
from appliance.model.service import VirtualService
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]


def alarm(director: Director) -> str:
    return director.context.standing.all.get("fight", "")


@asynccontextmanager
async def somebody(act: Callable[[], object], every_s: float) -> AsyncIterator[None]:
    """Somebody who does this again and again."""

    async def keep_on() -> None:
        while True:
            act()
            await asyncio.sleep(every_s)

    task = asyncio.create_task(keep_on())
    try:
        yield
    finally:
        task.cancel()


def delete_service(node: Node) -> None:
    node.ipvs.apply([RemoveService(key())])


def change_scheduler(node: Node) -> None:
    if key() in node.ipvs.dump():
        node.ipvs.apply([SetService(VirtualService(key(), "rr"))])


def change_weight(node: Node) -> None:
    destinations = node.ipvs.read([key()])[key()].destinations
    node.ipvs.apply([SetDestination(key(), replace(destinations[0], weight=77))])


def delete_destination(node: Node) -> None:
    destinations = node.ipvs.read([key()])[key()].destinations
    node.ipvs.apply([RemoveDestination(key(), destinations[0])])


def delete_address(node: Node) -> None:
    node.link.lose(VIP)
    node.monitor.report()


@pytest.mark.parametrize("kube_proxy", [True, False], ids=["kube-proxy's link is here", "nobody in particular"])
def test_fault_46_a_service_deleted_every_two_seconds_is_a_fight_within_ten(
    node: Node,
    play: Play,
    kube_proxy: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Named and withdrawn; the other VIP does not notice, and the router hears of one withdrawal in a minute."""

    async def story() -> None:
        if kube_proxy:
            node.link.others.add("kube-ipvs0")
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            told = len(node.router.history)
            async with somebody(lambda: delete_service(node), 2.0):
                assert await until(lambda: alarm(director) and VIP not in node.router.held) < 10.0
                assert "tcp/10.50.0.1:80" in alarm(director)
                assert ("kube-proxy in IPVS mode" in alarm(director)) == kube_proxy
                await asyncio.sleep(60)
            assert node.router.history[told:] == [frozenset({OTHER_VIP})]

    play(story())


def test_fault_46_kube_proxy_is_named_at_its_first_deletion(node: Node, play: Play) -> None:
    """Its next sync may be half a minute away. One deletion is repaired without a route change."""

    async def story() -> None:
        node.link.others.add("kube-ipvs0")
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            delete_service(node)
            assert await until(lambda: "kube-proxy" in alarm(director)) < 1.0
            await asyncio.sleep(30)
            assert node.router.history == [frozenset({VIP})]
            await until(lambda: not alarm(director), within_s=node.settings.fight.remember_s)

    play(story())


def test_in_a_fight_repairs_come_at_growing_intervals(node: Node, play: Play) -> None:
    """And not with every pass: the kernel is written to a dozen times in five minutes."""
    repaired_s: list[float] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        apply = node.ipvs.apply

        def watched(steps: Any) -> Any:
            if any(isinstance(each, AddService) for each in steps):
                repaired_s.append(loop.time())
            return apply(steps)

        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            node.ipvs.apply = watched  # type: ignore[method-assign]  # a fake that counts
            async with somebody(lambda: delete_service(node), 0.5):
                await asyncio.sleep(300)

    play(story())
    assert len(repaired_s) <= 12
    assert repaired_s[-1] - repaired_s[-2] >= 60


def test_a_fight_needs_no_full_pass_to_go_on_and_to_end(node: Node, play: Play) -> None:
    """Attempts after 1, 2, 4, 8 s; back five seconds after the first that holds."""

    async def story() -> None:
        node.configure(resync_s=3600.0)
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            async with somebody(lambda: delete_service(node), 0.5):
                await until(lambda: not node.router.held)
                await asyncio.sleep(10)
            await until(lambda: key() in node.ipvs.dump(), within_s=8)
            took_s = await until(lambda: node.router.held)
            assert took_s <= node.settings.fight.calm_s + 1

    play(story())


@pytest.mark.parametrize(
    "undo",
    [
        pytest.param(change_scheduler, id="the scheduler of a service"),
        pytest.param(change_weight, id="the weight of a destination"),
        pytest.param(delete_address, id="the address of a VIP"),
        pytest.param(lambda node: node.link.take_down() or node.monitor.report(), id="the link"),
    ],
)
def test_whatever_is_undone_every_second_is_withdrawn_told_and_comes_back(
    node: Node, play: Play, undo: Callable[[Node], object]
) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            async with somebody(lambda: undo(node), 1.0):
                assert await until(lambda: alarm(director) and not node.router.held) < 10.0
                await asyncio.sleep(10)
            policy = node.settings.fight
            await until(lambda: node.router.held == {VIP}, within_s=16 + policy.calm_s)
            assert len(node.router.history) == 3
            await until(lambda: not alarm(director), within_s=policy.remember_s + 60)
            assert not director.context.memory.fights

    play(story())


def test_fault_24_what_is_undone_every_ten_seconds_is_repaired_each_time_and_told(node: Node, play: Play) -> None:
    """The VIP is served nearly all of the time: no route change. But somebody should look."""

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            async with somebody(lambda: change_scheduler(node), 10.0):
                await asyncio.sleep(120)
                assert "tcp/10.50.0.1:80" in alarm(director)
            assert node.router.history == [frozenset({VIP})]

    play(story())


def test_different_things_broken_by_hand_in_a_row_are_no_fight(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            for undo in (
                lambda node: node.ipvs.flush(),
                delete_service,
                delete_destination,
                change_scheduler,
                change_weight,
                delete_address,
                lambda node: node.link.delete_link() or node.monitor.report(),
            ):
                undo(node)
                await asyncio.sleep(1.5)
            assert not alarm(director)
            assert node.router.history == [frozenset({VIP})]

    play(story())


def test_fault_25_a_foreign_service_outside_our_pools_is_never_touched(node: Node, play: Play) -> None:
    foreign = VirtualService(key(ip_address("192.0.2.7"), 80), "wlc")

    async def story() -> None:
        async with node.running() as director:
            node.ipvs.apply([AddService(foreign)])
            node.want(web())
            await until(lambda: node.router.held)
            await asyncio.sleep(60)
            node.want(web(OTHER_VIP))
            await until(lambda: key() not in node.ipvs.dump(), within_s=20)
            assert node.ipvs.dump()[foreign.key].service == foreign
            assert not alarm(director)

    play(story())


def test_fault_25_whoever_insists_on_a_service_of_his_own_at_our_vip_and_port_gets_it_unannounced(
    node: Node, play: Play
) -> None:
    """It is ours by our pools: repaired; made again and again: left alone, withdrawn and told."""

    def make_it_his(node: Node) -> None:
        node.ipvs.apply([RemoveService(key()), AddService(VirtualService(key(), "wlc"))])

    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            async with somebody(lambda: make_it_his(node), 0.7):
                assert await until(lambda: node.router.held == {OTHER_VIP}) < 5.0
                await asyncio.sleep(60)
                assert node.ipvs.dump()[key()].service.scheduler == "wlc"
                assert "keepalived" in alarm(director)

    play(story())


def test_a_port_that_somebody_keeps_adding_to_our_vip_is_no_fight(node: Node, play: Play) -> None:
    """It is left as it is (fault 25), and what is ours is served as it should be."""
    strange = VirtualService(key(port=99), "rr")

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            async with somebody(lambda: node.ipvs.apply([AddService(strange)]), 1.0):
                await asyncio.sleep(30)
            assert not alarm(director)
            assert strange.key in node.ipvs.dump()
            assert node.router.history == [frozenset({VIP})]

    play(story())


def test_a_source_that_changes_what_is_fought_over_is_obeyed_at_once(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            async with somebody(lambda: delete_service(node), 0.5):
                await until(lambda: alarm(director))
                await asyncio.sleep(30)
                assert key() not in node.ipvs.dump()
            node.want(web(backends=4))
            assert await until(lambda: key() in node.ipvs.dump()) < 0.5

    play(story())
