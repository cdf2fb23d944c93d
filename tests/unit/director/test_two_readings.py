"""Nothing is deleted, and nothing withdrawn, on one reading of the kernel."""

import asyncio
import errno
from collections.abc import Callable, Collection, Coroutine
from ipaddress import ip_network
from typing import Any

import pytest

from appliance.model.observed import ObservedService
from appliance.model.plan import AddDestination
from appliance.model.service import Destination, ServiceKey
from tests.fakes.kernel import FakeIpvs
from tests.unit.decide.values import addr
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]


class Contradicting(FakeIpvs):
    """A kernel of which every other reading of some services shows something else."""

    def __init__(self) -> None:
        super().__init__()
        self.unsteady: set[ServiceKey] = set()
        self._readings = 0

    def read(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, ObservedService]:
        found = super().read(keys)
        self._readings += 1
        for each in self.unsteady & found.keys():
            ghost = Destination(addr("10.9.9.9"), each.port, self._readings % 2)
            found[each] = ObservedService(found[each].service, (*found[each].destinations, ghost))
        return found


def test_fault_28_a_short_reading_of_the_table_changes_nothing(node: Node, play: Play) -> None:
    """Every service is left out of every full reading for a minute: not one route, service or line of the journal."""

    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            table, log = node.ipvs.dump(), node.log.getvalue()
            node.ipvs.leave_out(key(), key(OTHER_VIP))
            await asyncio.sleep(60)
            node.ipvs.leave_out()
            assert node.ipvs.dump() == table
            assert len(node.router.history) == 1
            assert node.log.getvalue() == log
            assert not director.context.memory.fights

    play(story())


def test_fault_28_a_service_is_removed_only_where_two_readings_agree(node: Node, play: Play) -> None:
    async def story() -> None:
        node.ipvs = kernel = Contradicting()
        async with node.running():
            node.want(web(), web(port=99))
            await until(lambda: node.router.held)
            kernel.unsteady = {key(port=99)}
            node.want(web())
            await asyncio.sleep(120)
            assert key(port=99) in kernel.dump()
            kernel.unsteady = set()
            await until(lambda: key(port=99) not in kernel.dump(), within_s=node.settings.drain_time_s + 10)

    play(story())


def test_fault_28_a_drained_destination_is_removed_only_where_two_readings_agree(node: Node, play: Play) -> None:
    async def story() -> None:
        node.ipvs = kernel = Contradicting()
        async with node.running():
            node.want(web(backends=3))
            await until(lambda: node.router.held)
            node.want(web(backends=2))
            await until(lambda: 0 in [each.weight for each in kernel.dump()[key()].destinations])
            kernel.unsteady = {key()}
            await asyncio.sleep(2 * node.settings.drain_time_s)
            kernel.unsteady = set()
            assert len(kernel.dump()[key()].destinations) == 3
            await until(lambda: len(kernel.dump()[key()].destinations) == 2)

    play(story())


def test_fault_28_what_is_left_of_a_vip_is_removed_only_where_two_readings_agree(node: Node, play: Play) -> None:
    async def story() -> None:
        node.ipvs = kernel = Contradicting()
        async with node.running():
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            kernel.unsteady = {key()}
            node.want(web(OTHER_VIP))
            await asyncio.sleep(60)
            assert key() in kernel.dump()
            assert "removed" not in node.log.getvalue()
            kernel.unsteady = set()
            await until(lambda: key() not in kernel.dump())
            assert node.log.getvalue().count("removed") == 1

    play(story())


@pytest.mark.parametrize("error", [errno.ENOBUFS, errno.EINTR], ids=["ENOBUFS", "interrupted"])
def test_fault_28_a_reading_that_fails_holds_everything_and_is_made_again(node: Node, play: Play, error: int) -> None:
    """Held for a minute; then the next glance, not the next full pass, finds what went meanwhile."""

    async def story() -> None:
        node.configure(resync_s=300.0)
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held and director.context.memory.quiet)
            node.ipvs.fail_readings(error)
            node.want(web(backends=4))
            await until(lambda: "kernel reading" in director.context.standing.all)
            await asyncio.sleep(60)
            assert node.router.history == [frozenset({VIP})]
            node.ipvs.fail_readings(0)
            took_s = await until(lambda: len(node.ipvs.dump()[key()].destinations) == 4)
            assert took_s <= 2 * node.settings.canary_s
            assert "kernel reading" not in director.context.standing.all

    play(story())


def test_fault_28_what_woke_a_pass_that_failed_is_not_forgotten(node: Node, play: Play) -> None:
    """Routes are lost just when they cannot be looked up: the next glance looks again, not the next full pass."""

    async def story() -> None:
        node.configure(resync_s=300.0)
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held and director.context.memory.quiet)
            node.routes.lose(ip_network("10.1.0.0/16"))
            node.routes.fail_readings(errno.ENOBUFS)
            node.monitor.report()
            await until(lambda: "kernel reading" in director.context.standing.all)
            node.routes.fail_readings(0)
            assert await until(lambda: not node.router.held) <= 2 * node.settings.canary_s

    play(story())


def test_a_reading_that_fails_when_something_is_to_be_removed_ends_nothing(node: Node, play: Play) -> None:
    """The link cannot be read again just before an address is taken off it."""

    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            node.want(web(OTHER_VIP))
            await until(lambda: node.router.held == {OTHER_VIP})
            node.link.fail_readings(errno.ENOBUFS)
            await until(lambda: "kernel reading" in director.context.standing.all)
            await asyncio.sleep(30)
            node.link.fail_readings(0)
            assert VIP in node.link.dump().addresses
            await until(lambda: VIP not in node.link.dump().addresses)

    play(story())


def test_a_strange_destination_stops_taking_traffic_at_once_all_the_same(node: Node, play: Play) -> None:
    """Only deleting waits for a second reading."""

    async def story() -> None:
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            node.ipvs.apply([AddDestination(key(), Destination(addr("10.1.0.99"), 80, 1))])
            await until(lambda: {each.weight for each in node.ipvs.dump()[key()].destinations} == {0, 1}, within_s=1.0)

    play(story())
