"""What the kernel refuses is tried at growing intervals; everything else goes on."""

import asyncio
import errno
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any

import pytest

from appliance.director.loop import Director
from appliance.ipvs.outcome import outcome
from appliance.model.plan import AddDestination, AddService, RemoveService, ServiceStep, SetService, StepResult
from tests.fakes.kernel import FakeIpvs
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
Kind = type[AddService] | type[AddDestination] | type[SetService]


class Refusing(FakeIpvs):
    """A kernel that refuses one kind of step for VIP, and notes when it was asked."""

    def __init__(self, kind: Kind, error: int) -> None:
        super().__init__()
        self.kind, self.error = kind, error
        self.asked_s: list[float] = []

    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]:
        return tuple(self._one(step) for step in steps)

    def _one(self, step: ServiceStep) -> StepResult:
        vip = step.service.key.vip if isinstance(step, AddService | SetService) else step.key.vip
        if vip != VIP or not isinstance(step, self.kind) or not self.error:
            return super().apply([step])[0]
        self.asked_s.append(asyncio.get_running_loop().time())
        return StepResult(step, outcome(step, self.error), self.error)


def condition(director: Director) -> str:
    return director.context.standing.all.get("kernel tcp/10.50.0.1:80", "")


REFUSALS = [
    pytest.param(AddService, errno.ENOMEM, id="no memory for a service"),
    pytest.param(SetService, errno.ENOENT, id="no such scheduler"),
    pytest.param(AddDestination, errno.EINVAL, id="a destination that the kernel does not take"),
]


@pytest.mark.parametrize(("kind", "error"), REFUSALS)
def test_fault_26_a_refused_step_is_tried_at_growing_intervals_and_others_go_on(
    node: Node, play: Play, kind: Kind, error: int
) -> None:
    """Five minutes: the VIP is not announced, the condition stands throughout, the other VIP is up at once."""
    node.ipvs = kernel = Refusing(kind, error)

    async def story() -> None:
        async with node.running() as director:
            node.want(web(backends=1), web(OTHER_VIP))
            assert await until(lambda: node.router.held == {OTHER_VIP}) < 1.0
            ended = 0
            for _ in range(3000):
                await asyncio.sleep(0.1)
                ended += not condition(director)
            assert not ended
            assert errno.errorcode[error] in condition(director)
            assert node.router.history == [frozenset({OTHER_VIP})]

    play(story())
    gaps = [later - earlier for earlier, later in pairwise(kernel.asked_s)]
    assert len(gaps) <= 8 + 300 / 30
    assert gaps[:6] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4], abs=0.05)
    assert max(gaps) <= 30.1
    assert node.log.getvalue().count("the kernel refused") == 1


@pytest.mark.parametrize(("kind", "error"), REFUSALS)
def test_fault_26_once_the_kernel_takes_it_the_vip_comes_up_and_the_condition_ends(
    node: Node, play: Play, kind: Kind, error: int
) -> None:
    node.ipvs = kernel = Refusing(kind, error)

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: condition(director))
            await asyncio.sleep(5)
            kernel.error = 0
            await until(lambda: node.router.held == {VIP}, within_s=10)
            assert not condition(director)
            assert not director.context.memory.backoffs

    play(story())


def test_fault_26_a_repair_that_is_refused_withdraws_and_is_no_fight(node: Node, play: Play) -> None:
    async def story() -> None:
        node.ipvs = kernel = Refusing(AddService, 0)
        async with node.running() as director:
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            kernel.error = errno.ENOMEM
            node.ipvs.flush()
            assert await until(lambda: node.router.held == {OTHER_VIP}) < 1.5
            await asyncio.sleep(10)
            assert "fight" not in director.context.standing.all
            kernel.error = 0
            await until(lambda: node.router.held == {VIP, OTHER_VIP}, within_s=20)

    play(story())


def test_a_source_that_asks_for_something_else_does_not_wait(node: Node, play: Play) -> None:
    """The refused destination is left out: that ends the condition, though its step never worked."""

    async def story() -> None:
        node.ipvs = Refusing(AddDestination, errno.EINVAL)
        async with node.running() as director:
            node.want(web())
            await until(lambda: condition(director))
            await asyncio.sleep(60)
            node.want(web(backends=0))
            assert await until(lambda: not condition(director)) < 0.5
            assert not director.context.memory.backoffs

    play(story())


def test_fault_27_what_was_overtaken_is_built_in_the_next_pass(node: Node, play: Play) -> None:
    """A service that vanishes while its destinations are added: ESRCH, read again, no waiting."""

    async def story() -> None:
        for number in (2, 3, 4):
            node.ipvs.fail_step(number, errno.ESRCH)
        async with node.running() as director:
            node.want(web())
            await until(lambda: director.context.memory.passes)
            assert not director.context.memory.backoffs
            assert await until(lambda: node.router.held) < 0.7

    play(story())


def test_a_link_that_cannot_be_made_is_tried_again_when_links_change(node: Node, play: Play) -> None:
    async def story() -> None:
        node.link.taken = True
        async with node.running() as director:
            node.want(web())
            await asyncio.sleep(100)
            assert "kernel link" in director.context.standing.all
            node.link.taken = False
            node.monitor.report()
            assert await until(lambda: node.router.held) < 1.0
            assert "kernel link" not in director.context.standing.all

    play(story())


SERVICE_STEPS = 5  # of a service with three backends: itself, its destinations, its scheduler


@pytest.mark.parametrize("error", [errno.ENOMEM, errno.EINVAL, errno.ENOBUFS], ids=lambda error: errno.errorcode[error])
@pytest.mark.parametrize("failing", range(1, SERVICE_STEPS + 1))
def test_fault_26_what_fails_at_k_of_n_costs_that_vip_alone_and_is_made_whole(
    node: Node, play: Play, failing: int, error: int
) -> None:
    """The step is refused for a while; not once is the VIP announced by halves, and the other VIP does not notice."""

    async def story() -> None:
        async with node.running() as director:
            node.want(web(OTHER_VIP))
            await until(lambda: node.router.held == {OTHER_VIP})
            node.ipvs.fail_step(failing, error)
            node.want(web(), web(OTHER_VIP))
            await until(lambda: errno.errorcode[error] in condition(director))
            assert node.router.held == {OTHER_VIP}
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            assert node.router.history == [frozenset({OTHER_VIP}), frozenset({VIP, OTHER_VIP})]
            assert len(node.ipvs.dump()[key()].destinations) == SERVICE_STEPS - 2
            assert node.ipvs.dump()[key()].service.scheduler == "mh"
            assert not condition(director)

    play(story())


@pytest.mark.parametrize("error", [errno.ENOMEM, errno.EINVAL], ids=lambda error: errno.errorcode[error])
@pytest.mark.parametrize("failing", range(1, SERVICE_STEPS))
def test_fault_26_a_repair_that_fails_at_k_of_n_withdraws_that_vip_within_a_second(
    node: Node, play: Play, failing: int, error: int
) -> None:
    """Of an announced VIP the service is loaded under its own scheduler, so there is one step less."""

    async def story() -> None:
        async with node.running():
            node.want(web(), web(OTHER_VIP))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            node.ipvs.apply([RemoveService(key())])
            node.ipvs.fail_step(failing, error)
            assert await until(lambda: node.router.held == {OTHER_VIP}) < 1.0
            await until(lambda: node.router.held == {VIP, OTHER_VIP}, within_s=20)

    play(story())
