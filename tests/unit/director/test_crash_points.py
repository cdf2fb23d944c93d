"""Death between any two steps of any plan: nothing untrue is announced (I1, I2), and the next director heals it (I4).

What stands in the end is what stands after a director that lived, in the same order (I9).
"""

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.decide.expect import expect
from appliance.model.address import Address
from appliance.model.desired import Backend, Desired, DesiredService, canonical
from appliance.model.observed import ObservedService
from appliance.model.plan import AddressStep, ServiceStep, StepResult
from appliance.model.routing import Announcement, Routing
from appliance.model.service import Protocol, ServiceFlag, ServiceKey
from tests.fakes.kernel import FakeIpvs, FakeVips
from tests.fakes.outside import FakeRouter, VirtualTimeLoop
from tests.unit.director.harness import OTHER_VIP, VIP, Node, until, web

Services = tuple[DesiredService, ...]
Table = Mapping[ServiceKey, ObservedService]


class Killed(BaseException):
    """The director is dead; nothing that it does from here on has an effect."""


class Toll:
    """Counts effects; with the ``fatal``-th the director dies (0: never). ``check`` looks at the world after each."""

    def __init__(self) -> None:
        self.taken: list[object] = []
        self.fatal = 0
        self.dead = False
        self.check: Callable[[], object] = lambda: None

    def begin(self, fatal: int) -> None:
        """A new director."""
        self.taken, self.fatal, self.dead = [], fatal, False

    def take(self, what: object) -> None:
        self.taken.append(what)
        self.check()
        if len(self.taken) == self.fatal:
            self.dead = True
        self.alive()

    def alive(self) -> None:
        if self.dead:
            raise Killed


class MortalIpvs(FakeIpvs):
    """Every step is handed over by itself."""

    toll: Toll

    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]:
        results: list[StepResult] = []
        for step in steps:
            self.toll.alive()
            results += super().apply([step])
            self.toll.take(step)
        return tuple(results)


class MortalVips(FakeVips):
    """As MortalIpvs."""

    toll: Toll

    def apply(self, steps: Sequence[AddressStep]) -> tuple[StepResult, ...]:
        results: list[StepResult] = []
        for step in steps:
            self.toll.alive()
            results += super().apply([step])
            self.toll.take(step)
        return tuple(results)


class MortalRouter(FakeRouter):
    """The director dies when BIRD has taken what it was told."""

    toll: Toll

    async def publish(self, announcement: Announcement) -> Routing:
        self.toll.alive()
        routing = await super().publish(announcement)
        self.toll.take(announcement)
        return routing


class World:
    """A node on which directors die, on their way from the services ``before`` to ``after``."""

    def __init__(self, directory: Path, before: Services, after: Services) -> None:
        self.before, self.after = _expected(before), _expected(after)
        self.node = Node(directory)
        self.node.configure(drain_time_s=2.0, settle_s=0.5)
        self.toll = Toll()
        self.toll.check = self.check
        self.stand(MortalIpvs(), MortalVips(), frozenset())

    def stand(self, ipvs: MortalIpvs, link: MortalVips, held: frozenset[Address]) -> None:
        """From now on this is the kernel, and what BIRD announces."""
        router = MortalRouter(held)
        ipvs.toll = link.toll = router.toll = self.toll
        self.node.ipvs, self.node.link, self.node.router = ipvs, link, router

    async def live(self, services: Services, fatal: int = 0) -> list[object]:
        """A director, until it is dead or has come to rest; returns what it did."""
        self.toll.begin(fatal)
        self.node.want(*services)
        task = asyncio.create_task(self.node.director().run())
        wanted = _expected(services)
        try:
            await until(lambda: task.done() or self.stands(wanted), within_s=60)
            if not task.done():
                done = len(self.toll.taken)
                await asyncio.sleep(2 * self.node.settings.resync_s + 1)
                assert len(self.toll.taken) == done or self.toll.fatal, "it does not come to rest"
        finally:
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError) or self.toll.dead, ended
        return list(self.toll.taken)

    def stands(self, wanted: Table) -> bool:
        """Whether all is as it should be, but for the order of destinations."""
        vips = frozenset(key.vip for key in wanted)
        table = self.node.ipvs.dump()
        return (
            self.node.router.held == vips == self.node.link.dump().addresses
            and table.keys() == wanted.keys()
            and all(set(table[key].destinations) == set(wanted[key].destinations) for key in wanted)
            and all(table[key].service == wanted[key].service for key in wanted)
        )

    def check(self) -> None:
        """No VIP is announced that is not whole: as before if it goes, as after if it comes, or in between."""
        table, link = self.node.ipvs.dump(), self.node.link.dump()
        for vip in self.node.router.held:
            was, will = _on(vip, self.before), _on(vip, self.after)
            assert link.up, f"{vip} is announced, and the link is down"
            assert vip in link.addresses, f"{vip} is announced, and no address"
            if was and will:
                for key in was.keys() & will.keys():
                    assert table[key].service in (was[key].service, will[key].service)
                    assert {each.address for each in table[key].destinations if each.weight} & {
                        each.address for each in (*was[key].destinations, *will[key].destinations)
                    }, f"{key} sends to nobody"
            else:
                for key, want in (was or will).items():
                    assert key in table, f"{vip} is announced without {key}"
                    assert table[key].service == want.service
                    assert set(table[key].destinations) == set(want.destinations)


def _expected(services: Services) -> Table:
    return expect(Desired({service.key: service for service in services}))


def _on(vip: Address, table: Table) -> Table:
    return {key: each for key, each in table.items() if key.vip == vip}


async def play(directory: Path, before: Services, after: Services) -> int:
    """Die at every point of the way from one to the other; returns how many there are."""
    world = World(directory, (), before)
    if before:
        await world.live(before)
    ipvs, link, held = world.node.ipvs, world.node.link, world.node.router.held
    assert isinstance(ipvs, MortalIpvs)
    assert isinstance(link, MortalVips)
    del ipvs.toll, link.toll  # which belong to that world, not to what stands there

    record = directory / "claims"  # it lives as long as the kernel's table does
    claims = record.read_bytes() if record.exists() else b""

    def begun() -> World:
        record.write_bytes(claims)
        again = World(directory, before, after)
        again.stand(copy.deepcopy(ipvs), copy.deepcopy(link), held)
        return again

    survivor = begun()
    done = await survivor.live(after)
    for fatal, effect in enumerate(done, start=1):
        world = begun()
        try:
            assert await world.live(after, fatal) == done[:fatal]
            assert world.toll.dead
            world.check()
            healed = await world.live(after)
            assert len(healed) == len(set(map(repr, healed))), f"done twice: {healed}"
            assert world.node.ipvs.dump() == survivor.node.ipvs.dump()
        except AssertionError as error:
            error.add_note(f"killed after step {fatal} of {len(done)}: {effect}")
            raise
    return len(done)


def run(before: Services, after: Services) -> int:
    """Play that on virtual time."""
    with TemporaryDirectory() as directory, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(play(Path(directory), before, after))


def _service(key: ServiceKey, scheduler: str, backends: Mapping[int, int]) -> DesiredService:
    flags = ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2 if scheduler == "mh" else ServiceFlag.NONE
    standing = canonical(Backend(ip_address(f"10.1.0.{number}"), weight) for number, weight in backends.items())
    return DesiredService(key, f"default/{key}", scheduler, flags, backends=standing)


keys = st.builds(ServiceKey, st.sampled_from([VIP, OTHER_VIP]), st.just(Protocol.TCP), st.sampled_from([80, 443]))
backends = st.dictionaries(st.integers(1, 4), st.integers(1, 2), min_size=1, max_size=3)
desired = st.dictionaries(keys, st.tuples(st.sampled_from(["mh", "rr"]), backends), max_size=3).map(
    lambda found: tuple(_service(key, *rest) for key, rest in found.items())
)


@settings(max_examples=40, deadline=None)
@given(desired, desired)
def test_i1_i4_whatever_the_plan_death_at_any_point_of_it_is_healed_by_the_next_director(
    before: Services, after: Services
) -> None:
    run(before, after)


@pytest.mark.parametrize(
    ("before", "after", "points"),
    [
        pytest.param((), (web(), web(port=443)), 13, id="first_programming"),
        pytest.param((web(backends=2),), (web(backends=3), web(port=443, backends=1)), 3, id="a_change"),
        pytest.param((web(), web(OTHER_VIP)), (web(OTHER_VIP),), 3, id="teardown"),
    ],
)
def test_i1_i4_a_plan_of_every_kind_is_healed_from_each_of_its_points(
    before: Services, after: Services, points: int
) -> None:
    """Three destinations make a service of five steps; link, address and BIRD are one each."""
    assert run(before, after) == points


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        pytest.param(lambda node: node.link.take_down(), "the link is down", id="link"),
        pytest.param(lambda node: node.link.lose(VIP), "and no address", id="address"),
        pytest.param(lambda node: node.ipvs.flush(), "is announced without", id="table"),
    ],
)
def test_the_check_can_fail(tmp_path: Path, spoil: Callable[[Node], object], told: str) -> None:
    """A VIP stays announced though what it needs is gone."""
    world = World(tmp_path, (), (web(),))
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(world.live((web(),)))
    world.check()
    spoil(world.node)
    with pytest.raises(AssertionError, match=told):
        world.check()
