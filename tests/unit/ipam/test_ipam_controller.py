"""The allocator's loop on fakes: what is written when, what is told, what is tried again."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network

from appliance.errors import SourceError
from appliance.ipam.controller import Controller
from appliance.ipam.tell import Teller
from appliance.model.address import Address
from appliance.model.claim import Claim, Want
from appliance.model.happening import Happening, Reason
from appliance.model.pool import AddressPool, AddressRange
from appliance.telemetry import exposition, ipam_metrics
from appliance.telemetry.journal import Journal
from appliance.telemetry.meter import Meter

WITHIN_S = 5.0


class FakeCluster:
    """Services and their statuses in memory."""

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self.is_complete = False
        self.error: SourceError | None = None
        self.news = asyncio.Event()
        self.refused: set[str] = set()
        self.overtaken: set[str] = set()
        self.writes: list[tuple[str, str]] = []
        self.happenings: list[Happening] = []
        self._changed: dict[str, None] = {}

    def take(self) -> list[str]:
        changed, self._changed = self._changed, {}
        self.news.clear()
        return list(changed)

    def put(self, name: str, **fields: object) -> None:
        owner = f"default/{name}"
        before = self.claims.get(owner) or Claim(owner, age=f"{len(self.claims):04}")
        self.claims[owner] = replace(before, **fields)  # type: ignore[arg-type]  # a test names each field
        self._tell(owner)

    def delete(self, name: str) -> None:
        del self.claims[f"default/{name}"]
        self._tell(f"default/{name}")

    def listed(self) -> None:
        self.is_complete = True
        self.news.set()

    async def write(self, wanted: Mapping[str, tuple[Address, ...]]) -> Mapping[str, SourceError | None]:
        await asyncio.sleep(0)
        outcome: dict[str, SourceError | None] = {}
        for owner, addresses in wanted.items():
            name = owner.removeprefix("default/")
            if name in self.overtaken:
                self.overtaken.discard(name)
                self._tell(owner)
            elif name in self.refused:
                outcome[owner] = SourceError("a webhook says no")
            else:
                self.writes.append((name, ", ".join(map(str, addresses))))
                self.put(name, held=addresses, has_other_mode=False)
                outcome[owner] = None
        return outcome

    def report(self, happenings: Sequence[Happening]) -> None:
        self.happenings.extend(happenings)

    def told(self, name: str) -> list[Reason]:
        return [each.reason for each in self.happenings if each.owner == f"default/{name}"]

    def held(self, name: str) -> str:
        return ", ".join(map(str, self.claims[f"default/{name}"].held))

    def _tell(self, owner: str) -> None:
        self._changed[owner] = None
        self.news.set()


class Leading:
    """A controller that leads, on a fake cluster."""

    def __init__(self, cluster: FakeCluster, network: str) -> None:
        self.cluster = cluster
        self.lines = io.StringIO()
        self.teller = Teller(Journal(self.lines), cluster, Meter())
        pool = AddressPool("public", (AddressRange.of(ip_network(network)),))
        self.controller = Controller((pool,), cluster, cluster, self.teller)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():  # noqa: ASYNC110 - a fake tells nobody
                await asyncio.sleep(0)

    def figures(self) -> str:
        counted = self.teller.meter.families(ipam_metrics.ALLOCATOR)
        return "".join(exposition.text([*counted, *self.teller.families()]))


@asynccontextmanager
async def leading(cluster: FakeCluster, network: str = "10.50.0.0/24") -> AsyncIterator[Leading]:
    found = Leading(cluster, network)
    task = asyncio.create_task(found.controller.run())
    try:
        yield found
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_nothing_is_given_before_the_list_is_complete() -> None:
    async def story() -> None:
        cluster = FakeCluster()
        cluster.put("new")
        async with leading(cluster) as it:
            for _ in range(100):
                await asyncio.sleep(0)
            assert cluster.writes == []
            cluster.put("old", held=(ip_address("10.50.0.1"),))
            cluster.listed()
            await it.until(lambda: cluster.held("new"))
            assert cluster.writes == [("new", "10.50.0.2")]
            assert cluster.told("new") == [Reason.ALLOCATING, Reason.ALLOCATED]

    asyncio.run(story())


def test_what_is_refused_is_told_once_and_served_when_something_is_freed() -> None:
    async def story() -> None:
        cluster = FakeCluster()
        cluster.put("first")
        cluster.put("second")
        cluster.listed()
        async with leading(cluster, "10.50.0.7/32") as it:
            await it.until(lambda: cluster.told("second"))
            cluster.put("second", labels={"a": "b"})
            await it.until(lambda: not cluster.news.is_set())
            assert cluster.told("second") == [Reason.OUT_OF_ADDRESSES]
            assert 'balanced_ipam_refused{reason="exhausted"} 1' in it.figures()
            assert 'vip_used{ip_pool="public",vip_cidr="10.50.0.7/32"} 1' in it.figures()
            assert 'vip_free{ip_pool="public",vip_cidr="10.50.0.7/32"} 0' in it.figures()
            cluster.delete("first")
            await it.until(lambda: cluster.held("second") == "10.50.0.7")
            await it.until(lambda: 'balanced_ipam_refused{reason="exhausted"} 0' in it.figures())
            assert 'balanced_ipam_refusals_total{reason="exhausted"} 1' in it.figures()

    asyncio.run(story())


def test_another_ip_mode_is_written_and_nobody_is_told_of_an_address() -> None:
    async def story() -> None:
        cluster = FakeCluster()
        cluster.put("old", held=(ip_address("10.50.0.1"),), has_other_mode=True)
        cluster.put("empty", want=Want.KEEP, has_other_mode=True)
        cluster.listed()
        async with leading(cluster) as it:
            await it.until(lambda: cluster.writes)
            await it.until(lambda: not cluster.news.is_set())
            assert cluster.writes == [("old", "10.50.0.1")]
            assert cluster.told("old") == []

    asyncio.run(story())


def test_one_service_that_cannot_be_written_holds_up_no_other() -> None:
    async def story() -> None:
        cluster = FakeCluster()
        cluster.refused.add("bad")
        for name in ("bad", "good", "better"):
            cluster.put(name)
        cluster.listed()
        async with leading(cluster) as it:
            await it.until(lambda: cluster.held("good") and cluster.held("better"))
            assert "allocator writes" in it.lines.getvalue()
            assert cluster.held("bad") == ""
            cluster.refused.clear()
            cluster.put("late")
            await it.until(lambda: cluster.held("bad") == "10.50.0.1")

    asyncio.run(story())


def test_a_write_that_was_overtaken_is_decided_upon_again() -> None:
    async def story() -> None:
        cluster = FakeCluster()
        cluster.overtaken.add("web")
        cluster.put("web")
        cluster.listed()
        async with leading(cluster) as it:
            await it.until(lambda: cluster.held("web") == "10.50.0.1")

    asyncio.run(story())


def test_an_address_is_given_back_when_the_service_wants_none() -> None:
    async def story() -> None:
        cluster = FakeCluster()
        cluster.put("web")
        cluster.listed()
        async with leading(cluster, "10.50.0.7/32") as it:
            await it.until(lambda: cluster.held("web"))
            cluster.put("web", want=Want.NOTHING)
            await it.until(lambda: not cluster.held("web"))
            cluster.put("next")
            await it.until(lambda: cluster.held("next") == "10.50.0.7")
            assert 'balanced_ipam_allocations_total{action="released"} 1' in it.figures()

    asyncio.run(story())


def test_what_others_hold_is_never_written() -> None:
    async def story() -> None:
        cluster = FakeCluster()
        cluster.put("foreign", want=Want.FOREIGN, pool="public")
        cluster.put("theirs", held=(ip_address("192.0.2.1"),))
        cluster.put("asking", held=(ip_address("192.0.2.2"),), pool="public")
        cluster.put("ours")
        cluster.listed()
        async with leading(cluster) as it:
            await it.until(lambda: cluster.held("ours"))
            assert [name for name, _ in cluster.writes] == ["ours"]
            assert cluster.told("foreign") == [Reason.FOREIGN_CLASS]
            assert cluster.told("asking") == [Reason.FOREIGN_ADDRESS]
            assert cluster.told("theirs") == []
            assert 'balanced_ipam_refused{reason="foreign_address"} 2' in it.figures()

    asyncio.run(story())
