"""What a flushed table costs: work in proportion to what was lost, or a large node withdraws too late."""

import sys
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address
from pathlib import Path
from types import FrameType
from typing import Any

from appliance.director.loop import Director
from appliance.director.wakes import Scope
from appliance.model.desired import Snapshot
from tests.unit.director.harness import VIP, Node, until, web

FULL = Scope(everything=True, link=True)
FEW, TIMES = 30, 8


async def calls_of_a_repair(node: Node, services: int) -> int:
    """How many functions a full pass calls that finds so many services flushed, each on a VIP of its own."""
    async with node.running() as director:
        node.source.say(Snapshot("file", tuple(web(IPv4Address(int(VIP) + n)) for n in range(services))))
        await until(lambda: len(node.router.held) == services)
        node.ipvs.flush()
        return await counted(director)


async def counted(director: Director) -> int:
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        await director.reconcile(FULL)
    finally:
        sys.setprofile(None)
    return calls


def test_a_flushed_table_costs_work_in_proportion_to_its_size(
    tmp_path: Path, play: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """Eight times the services take about eight times the calls; what compares each with all takes sixty-four."""
    calls: dict[int, int] = {}

    async def story(services: int) -> None:
        calls[services] = await calls_of_a_repair(Node(tmp_path / str(services)), services)

    for services in (FEW, FEW * TIMES):
        (tmp_path / str(services)).mkdir()
        play(story(services))
    assert calls[FEW * TIMES] < 1.5 * TIMES * calls[FEW]
