"""What counts as a repair and is told as one, and what is only a plan carried out."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from appliance.director.mend import MAX_REPAIRS_TOLD
from appliance.model.plan import AddDestination, SetDestination
from appliance.model.service import Destination
from tests.unit.director.harness import VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
STRANGER = Destination(ip_address("10.1.0.99"), 80, 1)
REPAIR = "repairing"


def weights(node: Node, port: int = 80) -> list[int]:
    return [each.weight for each in node.ipvs.dump()[key(port=port)].destinations]


def test_fault_24_a_destination_added_by_hand_stops_taking_traffic_and_is_told(node: Node, play: Play) -> None:
    """Drained in the pass that finds it, so the VIP stays announced; told once, and its removal not at all."""

    async def story() -> None:
        async with node.running():
            node.want(web())
            await until(lambda: node.router.held)
            node.ipvs.apply([AddDestination(key(), STRANGER)])
            assert sorted(weights(node)) == [1, 1, 1, 1]
            await until(lambda: sorted(weights(node)) == [0, 1, 1, 1])
            await until(lambda: sorted(weights(node)) == [1, 1, 1], within_s=node.settings.drain_time_s + 10)

        assert node.router.history == [frozenset({VIP})]
        told = [line for line in node.log.getvalue().splitlines() if REPAIR in line]
        assert len(told) == 1
        assert "10.1.0.99 tunnel/ipip weight 1 -> tunnel/ipip weight 0" in told[0]

    play(story())


def test_a_destination_that_nobody_wants_and_the_kernel_keeps_withdraws(node: Node, play: Play) -> None:
    """Repairs that the kernel swallows: clients would be sent to a stranger."""

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            node.ipvs.apply([AddDestination(key(), STRANGER)])
            for number in range(1, 30):
                node.ipvs.swallow_step(number)
            await until(lambda: not node.router.held)
            assert "takes traffic, and nobody wants it" in director.context.memory.gates[VIP].reason

    play(story())


def test_a_service_that_drains_and_goes_is_no_repair(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web(port=80), web(port=443))
            await until(lambda: node.router.held)
            node.want(web(port=443))
            await until(lambda: weights(node) == [0, 0, 0])
            await until(lambda: key(port=80) not in node.ipvs.dump(), within_s=node.settings.drain_time_s + 10)

        assert REPAIR not in node.log.getvalue()
        assert node.router.history == [frozenset({VIP})]

    play(story())


def test_a_change_that_a_source_asked_for_is_no_repair(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web(backends=3))
            await until(lambda: node.router.held)
            node.want(web(backends=4, ready=2))
            await until(lambda: sorted(weights(node)) == [0, 0, 1, 1])
            await asyncio.sleep(30)

        assert REPAIR not in node.log.getvalue()

    play(story())


def test_of_many_repairs_only_the_number_is_told(node: Node, play: Play) -> None:
    services = [web(port=port) for port in range(1, MAX_REPAIRS_TOLD + 2)]

    async def story() -> None:
        async with node.running():
            node.want(*services)
            await until(lambda: node.router.held)
            node.ipvs.flush()
            await until(lambda: len(node.ipvs.dump()) == len(services))

        told = [line for line in node.log.getvalue().splitlines() if REPAIR in line]
        assert len(told) == 1
        assert told[0].endswith(f"SERVICES={len(services)}")

    play(story())


def test_a_draining_destination_given_weight_by_hand_is_put_back(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            node.want(web(backends=3))
            await until(lambda: node.router.held)
            node.want(web(backends=2))
            await until(lambda: weights(node) == [1, 1, 0])
            edited = replace(node.ipvs.dump()[key()].destinations[2], weight=5)
            node.ipvs.apply([SetDestination(key(), edited)])
            await until(lambda: weights(node) == [1, 1, 0])

        assert "10.1.0.3 tunnel/ipip weight 5 -> tunnel/ipip weight 0" in node.log.getvalue()

    play(story())
