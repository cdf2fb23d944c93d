"""An operator's drain, on fakes and virtual time: de-preferred at once, withdrawn when nobody comes, kept on disk."""

import asyncio
import errno
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from appliance.decide.drain import WaitPolicy
from appliance.director.draining import leave
from appliance.director.loop import Director
from appliance.director.operator import DrainOrder, UndrainOrder
from appliance.director.status import status
from appliance.errors import BirdRejected, BirdUnreachable, ControlError
from appliance.model.desired import Snapshot
from appliance.model.routing import Announcement, Routing
from tests.fakes.outside import FakeRouter
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
SETTLE_S = 2.0
THIRD_VIP = ip_address("10.50.0.3")


@pytest.fixture(autouse=True)
def _keeps_orders(node: Node, tmp_path: Path) -> None:
    node.configure(state_dir=tmp_path, drain_wait=WaitPolicy(SETTLE_S, 30.0), cold_start_grace_s=1.0)


async def announced(node: Node, *vips: object) -> None:
    await until(lambda: node.router.held == frozenset(vips))


def state(director: Director, vip: object = VIP) -> str:
    return next(each.state for each in status(director.context, "0").vips if each.vip == str(vip))


def test_fault_5_a_drained_node_is_deprefered_at_once_and_withdrawn_after_the_settle_time(
    node: Node, play: Play
) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await announced(node, VIP, OTHER_VIP)
            ordered = await director.operator.drain(DrainOrder(reason="new kernel"), "alice")
            assert ordered.done == "this node is drained by alice: new kernel"
            assert await until(lambda: node.router.depreferred == {VIP, OTHER_VIP}) < 1
            assert state(director) == "draining"
            assert SETTLE_S <= await until(lambda: not node.router.held) < SETTLE_S + 1
            assert state(director) == "drained"
            assert node.ipvs.dump()[key()].destinations, "connections that stand go on"
            assert director.context.memory.gates[VIP].reason == "drained by alice: new kernel"

    play(story())


def test_one_vip_is_drained_and_the_others_do_not_notice(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await announced(node, VIP, OTHER_VIP)
            await director.operator.drain(DrainOrder(vip=str(VIP)), "alice")
            await until(lambda: node.router.depreferred == {VIP})
            await announced(node, OTHER_VIP)
            assert node.router.depreferred == frozenset()
            assert state(director, OTHER_VIP) == "announced"

    play(story())


def test_while_new_connections_come_the_vip_stays_until_the_timeout(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            await director.operator.drain(DrainOrder(), "alice")

            def one_more() -> bool:
                node.ipvs.connected[key()] = node.ipvs.connected.get(key(), 0) + 1
                return not node.router.held

            assert 30 <= await until(one_more, within_s=60) < 31

    play(story())


def test_now_spares_the_wait(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            await director.operator.drain(DrainOrder(now=True), "alice")
            assert await until(lambda: not node.router.held) < 0.5

    play(story())


def test_fault_5_the_order_outlasts_the_director_and_undrain_proves_before_it_announces(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            await director.operator.drain(DrainOrder(reason="new kernel"), "alice")
            await announced(node)
        told = len(node.router.history)
        async with node.running() as director:
            node.want(web())
            await until(lambda: director.context.memory.passes > 10)
            assert node.router.history[told:] in ([], [frozenset()])
            assert state(director) == "drained"
            with pytest.raises(ControlError, match="balanced undrain without --vip"):
                await director.operator.undrain(UndrainOrder(vip=str(VIP)), "bob")
            await director.operator.undrain(UndrainOrder(), "bob")
            assert node.router.held == frozenset()
            await announced(node, VIP)
            assert node.router.depreferred == frozenset()
        async with node.running() as director:
            node.want(web())
            await until(lambda: director.context.memory.passes > 3)
            assert not director.context.memory.drains

    play(story())


def test_an_order_that_is_lifted_during_its_wait_leaves_the_route_where_it_is(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            await director.operator.drain(DrainOrder(), "alice")
            await until(lambda: node.router.depreferred == {VIP})
            await director.operator.undrain(UndrainOrder(), "alice")
            await until(lambda: node.router.depreferred == frozenset())
            assert frozenset() not in node.router.history

    play(story())


def test_a_drain_is_no_flap(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            for _ in range(5):
                await director.operator.drain(DrainOrder(now=True), "alice")
                await announced(node)
                await director.operator.undrain(UndrainOrder(), "alice")
                assert await until(lambda: node.router.held) < 1
            assert director.context.memory.gates[VIP].flaps == 0

    play(story())


def test_fault_38_an_order_that_cannot_be_written_is_in_force_and_says_so(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            assert node.settings.state_dir is not None
            (node.settings.state_dir / "drain.json.new").mkdir()
            ordered = await director.operator.drain(DrainOrder(), "alice")
            assert "cannot be written" in ordered.warning
            await announced(node)
            assert "drain flag" in status(director.context, "0").conditions

    play(story())


@pytest.mark.parametrize("content", [b"{", b'{"version": 99}', b'{"version": 1, "vips": {"nonsense": {}}}'])
def test_fault_42_a_damaged_flag_counts_as_a_drain_until_somebody_lifts_it(
    node: Node, play: Play, content: bytes
) -> None:
    async def story() -> None:
        assert node.settings.state_dir is not None
        flag = node.settings.state_dir / "drain.json"
        flag.write_bytes(content)
        for _ in range(2):
            async with node.running() as director:
                node.want(web())
                await until(lambda: director.context.memory.passes > 10)
                assert node.router.held == frozenset()
                assert "cannot be read" in director.context.memory.gates[VIP].reason
        assert flag.with_name("drain.json.bad").read_bytes() == content

    play(story())


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (DrainOrder(vip="10.50.0.300"), "is no address"),
        (DrainOrder(vip="10.50.0.99"), "is no VIP of this node"),
        (DrainOrder(reason="two\nlines"), "one line"),
        (DrainOrder(reason="x" * 201), "at most 200"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(
    node: Node, play: Play, order: DrainOrder, said: str
) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            with pytest.raises(ControlError, match=said):
                await director.operator.drain(order, "alice")
            assert not director.context.memory.drains

    play(story())


def test_what_is_not_drained_cannot_be_undrained(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            with pytest.raises(ControlError, match="nothing is drained"):
                await director.operator.undrain(UndrainOrder(), "alice")

    play(story())


@pytest.mark.parametrize(
    ("on_stop", "held", "depreferred"),
    [("deprefer", {VIP}, {VIP}), ("withdraw", set(), set()), ("hold", {VIP}, set())],
)
def test_fault_4_a_director_that_stops_does_with_its_routes_as_configured(
    node: Node, play: Play, on_stop: str, held: set[object], depreferred: set[object]
) -> None:
    async def story() -> None:
        node.configure(on_stop=on_stop)
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            await leave(director.context)
        assert node.router.held == held
        assert node.router.depreferred == depreferred
        told = len(node.router.history)
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held == {VIP} and not node.router.depreferred)
            assert len(node.router.history) - told == (0 if on_stop == "hold" else 1)

    play(story())


def test_a_director_that_stops_before_it_knows_anything_deprefers_what_it_found(node: Node, play: Play) -> None:
    async def story() -> None:
        node.router.held = frozenset({VIP})
        async with node.running() as director:
            await until(lambda: node.router.installs)
            await leave(director.context)
        assert node.router.held == node.router.depreferred == {VIP}

    play(story())


def test_a_bird_that_does_not_answer_does_not_keep_the_director_from_stopping(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            node.router.fault = BirdUnreachable("no answer")
            await leave(director.context)
            assert "BIRD could not be told" in node.log.getvalue()

    play(story())


def test_there_is_nothing_to_confirm_where_nothing_is_withheld(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            with pytest.raises(ControlError, match="nothing is withheld"):
                await director.operator.confirm(None, "alice")

    play(story())


def test_fault_12_an_operator_who_confirms_is_told_what_goes(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP), web(THIRD_VIP))
            await announced(node, VIP, OTHER_VIP, THIRD_VIP)
            node.source.say(Snapshot("file", listed=True))
            await until(lambda: director.context.memory.brakes)
            ordered = await director.operator.confirm(None, "alice")
            assert ordered.done == f"obeyed: {VIP}, {OTHER_VIP}, {THIRD_VIP} will go"
            await announced(node)

    play(story())


def test_an_order_is_obeyed_before_the_kernel_is_read(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await announced(node, VIP, OTHER_VIP)
            node.ipvs.fail_readings(errno.ENOBUFS)
            await director.operator.drain(DrainOrder(), "alice")
            assert await until(lambda: node.router.depreferred == {VIP, OTHER_VIP}) < 0.1
            await director.operator.drain(DrainOrder(vip=str(VIP), now=True), "alice")
            assert await until(lambda: node.router.held == {OTHER_VIP}) < 0.1
            await director.operator.undrain(UndrainOrder(), "alice")
            assert await until(lambda: not node.router.depreferred) < 0.1
            assert node.router.held == {OTHER_VIP}, "what was withdrawn has to be proven first"
            assert f"withdrawing VIP={VIP}" in node.log.getvalue()

    play(story())


class UnwillingRouter(FakeRouter):
    """A BIRD whose configuration does not parse: what has to go goes by ``disable``, which takes the others along."""

    broken = False

    async def publish(self, announcement: Announcement) -> Routing:
        if self.broken:
            if self.held - announcement.vips:
                self.held = self.depreferred = frozenset()
            raise BirdRejected("configure check", 8002, "bird.conf:1 syntax error")
        return await super().publish(announcement)


def test_a_drain_that_bird_refuses_to_tell_of_ends_with_the_timeout_in_a_withdrawal(node: Node, play: Play) -> None:
    node.router = router = UnwillingRouter()

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            router.broken = True
            await director.operator.drain(DrainOrder(), "alice")
            assert 30 <= await until(lambda: not node.router.held, within_s=60) < 31
            assert not node.router.depreferred
            assert state(director) == "drained"

    play(story())


def test_a_drain_that_bird_tells_of_late_has_its_whole_wait_from_then_on(node: Node, play: Play) -> None:
    node.router = router = UnwillingRouter()

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await announced(node, VIP)
            router.broken = True
            await director.operator.drain(DrainOrder(), "alice")
            await asyncio.sleep(20.0)
            router.broken = False
            await until(lambda: node.router.depreferred == {VIP})
            assert SETTLE_S <= await until(lambda: not node.router.held) < SETTLE_S + 1

    play(story())


def test_now_covers_vips_that_are_held_because_a_snapshot_may_be_too_old_to_know_them(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web())
            await announced(node, VIP)
            await asyncio.sleep(2.0)  # the snapshot is on disk
        node.router.held = frozenset({VIP, OTHER_VIP})
        async with node.running() as director:
            await until(lambda: director.context.memory.held_over == {OTHER_VIP})
            await asyncio.sleep(2.0)
            assert node.router.held == {VIP, OTHER_VIP}
            await director.operator.drain(DrainOrder(now=True), "alice")
            assert await until(lambda: not node.router.held) < 0.5

    play(story())
