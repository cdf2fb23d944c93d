"""Services that wait for their turn, or that a source changes in the middle of a pass, take no announced VIP down."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from appliance.director.intent import accept
from appliance.model.desired import Snapshot
from appliance.model.plan import ServiceStep, StepResult
from tests.fakes.kernel import FakeIpvs
from tests.unit.director.harness import VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
# More steps than one slice has, so that with no time to spend each slice is a pass of its own.
CROWD = [web(port=1000 + number) for number in range(400)]


def test_fault_16_a_service_that_waits_for_its_turn_leaves_its_announced_vip_alone(node: Node, play: Play) -> None:
    async def story() -> None:
        node.configure(repair_budget_s=-1.0)
        async with node.running() as director:
            node.want(web())
            await until(lambda: VIP in node.router.held)
            node.want(web(), *CROWD)
            await until(lambda: len(node.ipvs.dump()) == len(CROWD) + 1)
            await until(lambda: not director.context.memory.changed)
            assert all(VIP in told for told in node.router.history)
            assert director.context.memory.gates[VIP].flaps == 0

    play(story())


class Overtaken(FakeIpvs):
    """A kernel in which something happens while steps are carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = None

    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]:
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return super().apply(steps)


def test_fault_17_what_a_source_says_in_the_middle_of_a_pass_is_no_fault(node: Node, play: Play) -> None:
    async def story() -> None:
        node.ipvs = ipvs = Overtaken()
        async with node.running() as director:
            node.want(web(backends=3))
            await until(lambda: VIP in node.router.held)
            ipvs.meanwhile = lambda: accept(director.context, "file", Snapshot("file", (web(backends=5),)))
            node.want(web(backends=4))
            await until(lambda: ipvs.meanwhile is None and not director.context.memory.changed)
            assert len(ipvs.dump()[key()].destinations) == 5
            assert director.context.memory.gates[VIP].flaps == 0
            assert frozenset() not in node.router.history

    play(story())
