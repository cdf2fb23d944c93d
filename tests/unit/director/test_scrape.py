"""What /metrics shows of a director on fakes, and that asking for it changes nothing."""

import asyncio
import errno
import os
import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.decide.gate import GatePolicy, GateState, Phase
from appliance.decide.proof import Proof
from appliance.decide.tell import reason_word
from appliance.director.scrape import Scraper, read
from appliance.errors import BirdRejected, BirdUnreachable, SourceError
from appliance.model.desired import Backend, DesiredService
from appliance.model.drain import Drain, Drains
from appliance.model.plan import AddService
from appliance.model.routing import Announcement, Routing
from appliance.model.service import VirtualService
from appliance.telemetry import metrics
from tests.fakes.counting import FakeCounting
from tests.fakes.guard import FakeGuard
from tests.fakes.outside import FakeRouter
from tests.fakes.probing import FakeProber
from tests.fakes.publisher import FakePublisher
from tests.unit.director.harness import OTHER_VIP, VIP, Node, key, until, web
from tests.unit.director.scraping import page, scraped, scraper

Play = Callable[[Coroutine[Any, Any, None]], None]

GOLDEN = Path(__file__).parent / "golden" / "metrics.txt"
# How many passes a story takes is the loop's business, how long they take and what they weigh the machine's.
FAILURES = "balanced_director_state_write_failures_total"
UNSTEADY = "balanced_controllers|process_|balanced_director_(pass|netlink)|\\w+metrics_export_time"


class LonelyRouter(FakeRouter):
    """A BIRD that holds what it is told, and has no session up."""

    async def observe(self) -> Routing:
        routing = await super().observe()
        return replace(routing, peers=tuple(replace(each, established=False) for each in routing.peers))


class RefusingRouter(FakeRouter):
    """A BIRD that answers everything, and says no to a change once it is told to."""

    refusing = False

    async def publish(self, announcement: Announcement) -> Routing:
        if self.refusing:
            raise BirdRejected("configure", 8002, "syntax error")
        return await super().publish(announcement)


def test_a_small_node_scraped_reads_so(node: Node, play: Play) -> None:
    """After a change that is meant: UPDATE_GOLDEN=1 pytest, and look at the difference."""

    async def story() -> None:
        async with node.running() as director:
            node.want(web(backends=2, ready=1), web(OTHER_VIP, backends=1, ready=0))
            await until(lambda: node.router.held)
            await asyncio.sleep(20)
            node.ipvs.apply([AddService(VirtualService(key(port=22), "rr"))])
            written = await scraped(scraper(node, director))
        steady = "".join(
            line for line in written.splitlines(keepends=True) if not re.match(rf"(# \w+ )?({UNSTEADY})", line)
        )
        if os.environ.get("UPDATE_GOLDEN"):
            GOLDEN.write_text(steady)
        assert steady == GOLDEN.read_text()

    play(story())


def test_every_metric_of_the_table_occurs_once_it_has_something_to_say(node: Node, play: Play) -> None:
    node.publisher = FakePublisher()
    node.prober = FakeProber(interval_s=0.1)
    node.guard = FakeGuard()

    async def story() -> None:
        async with node.running() as director:
            node.source.say(SourceError("away"))
            node.want(replace(web(), new_flows_per_s=5))
            await until(lambda: node.router.held)
            await until(lambda: not director.context.record.untold_s)
            node.ipvs.flush()
            node.router.fault = BirdUnreachable("no answer")
            await until(lambda: "bird" in director.context.standing.all)
            node.router.fault = None
            await until(lambda: director.context.memory.routing)
            node.source.say(SourceError("away again"))
            await until(lambda: director.context.standing.all)
            order = Drain("alice", "new kernel", datetime(2026, 1, 2, tzinfo=UTC))
            director.context.memory.drains = Drains(node=order)
            found = await page(scraper(node, director))
        # The parser takes the end off a counter's name.
        names = {family.name for family in found.families}
        assert names == {metric.name.removesuffix("_total") for metric in metrics.OWN + metrics.INHERITED}

    play(story())


def test_the_guard_says_what_it_kept_from_each_vip(node: Node, play: Play) -> None:
    node.guard = guard = FakeGuard()

    async def story() -> None:
        async with node.running() as director:
            node.want(web(), replace(web(OTHER_VIP), new_flows_per_s=5))
            await until(lambda: node.router.held == {VIP, OTHER_VIP})
            guard.refuse(VIP, 7)
            found = await page(scraper(node, director))
            assert found.value("balanced_director_guard_refused_packets_total", vip=str(VIP)) == 7
            assert found.labels("balanced_director_guard_limited_flows_total", "vip") == [str(OTHER_VIP)]
            guard.fail_readings(errno.ENOBUFS)
            found = await page(scraper(node, director))
            assert found.values("balanced_director_guard_refused_packets_total") == []
            assert "counters guard" in director.context.standing.all

    play(story())


def test_labels_vanish_with_their_objects(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            scraping = scraper(node, director)
            node.want(web(backends=3), web(OTHER_VIP))
            await until(lambda: len(node.router.held) == 2)
            assert f'"{OTHER_VIP}"' in await scraped(scraping)
            node.want(web(backends=2))
            await until(lambda: OTHER_VIP not in node.router.held)
            found = await page(scraping)
            assert f'"{OTHER_VIP}"' not in found.written
            assert "web-10.50.0.2" not in found.written
            await asyncio.sleep(node.settings.drain_time_s + 10)
            found = await page(scraping)
            assert found.labels("balanced_ipvs_controller_dest_bytes_in", "endpoint_ip") == ["10.1.0.1", "10.1.0.2"]

    play(story())


def test_a_draining_backend_is_counted_until_it_is_gone(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(backends=2))
            await until(lambda: node.router.held)
            node.want(web(backends=1))
            await asyncio.sleep(5)
            found = await page(scraper(node, director))
            assert found.value("balanced_ipvs_controller_dest_active_connections", endpoint_ip="10.1.0.2") == 2

    play(story())


def test_a_pod_is_named_and_anything_else_goes_by_its_address(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            (first, second) = web(backends=2).backends
            node.want(web_with(Backend(first.address, target="web-5d4f-abcde", is_pod=True), second))
            await until(lambda: node.router.held)
            found = await page(scraper(node, director))
            name = "balanced_ipvs_controller_dest_cps"
            assert found.values(name, endpoint_name="web-5d4f-abcde", endpoint_type="Pod", endpoint_ip="10.1.0.1")
            assert found.values(name, endpoint_name="10.1.0.2", endpoint_type="External")

    play(story())


def web_with(*backends: Backend) -> DesiredService:
    service = web()
    return DesiredService(service.key, service.owner, service.scheduler, service.flags, backends=backends)


def test_without_destinations_services_alone_are_counted(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            written = await scraped(scraper(node, director, destinations=False))
            assert "balanced_ipvs_controller_service_bytes_in{" in written
            assert "balanced_ipvs_controller_dest_" not in written

    play(story())


def test_a_service_without_a_namespace_has_an_empty_one(node: Node) -> None:
    node.ipvs.apply([AddService(VirtualService(key(), "mh"))])
    table = read(FakeCounting(node.ipvs), {key(): DesiredService(key(), "web", "mh")}, "d1", destinations=True)

    assert table.services.behind[0] == (
        '{hostname="d1",namespace="",service_name="web",service_vip="10.50.0.1",protocol="TCP",port="80"}'
    )


def test_scrapes_that_come_together_share_one_reading(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            counting = FakeCounting(node.ipvs)
            scraping = Scraper(director.context, counting, "0.1.0")
            pages = await asyncio.gather(*(scraped(scraping) for _ in range(3)))
            assert counting.readings == 1
            assert all("dest_bytes_in{" in each for each in pages)
            await scraped(scraping)
            assert counting.readings == 2, "a later one reads anew"

    play(story())


def test_a_client_that_leaves_takes_the_reading_away_from_nobody(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            scraping = scraper(node, director)
            leaving, staying = (asyncio.create_task(scraped(scraping)) for _ in range(2))
            await asyncio.sleep(0)
            leaving.cancel()
            assert "dest_bytes_in{" in await staying

    play(story())


def test_counters_that_cannot_be_read_leave_the_rest_of_the_page(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            counting = FakeCounting(node.ipvs)
            counting.fault = errno.EPERM
            scraping = Scraper(director.context, counting, "0.1.0")
            found = await page(scraping)
            assert found.value("balanced_director_ipvs_counters_read") == 0
            assert found.value("balanced_director_vip_announced", vip=str(VIP)) == 1
            assert found.value("balanced_director_conditions", condition="counters") == 1
            assert "balanced_ipvs_controller_service_" not in found.written
            counting.fault = 0
            assert (await page(scraping)).value("balanced_director_ipvs_counters_read") == 1
            assert "counters" not in director.context.standing.all

    play(story())


def test_scrapes_during_passes_change_nothing(play: Play, tmp_path: Path) -> None:
    """The same story with and without a scraper that never rests: same routes, same kernel, same log."""

    async def told(around: Node, *, scraping: bool) -> tuple[object, ...]:
        async with around.running() as director:
            pages = asyncio.create_task(scrape_on(scraper(around, director)) if scraping else asyncio.sleep(0))
            around.want(web(), web(OTHER_VIP))
            await until(lambda: len(around.router.held) == 2)
            around.ipvs.flush()
            await asyncio.sleep(20)
            around.want(web(backends=1))
            await asyncio.sleep(60)
            pages.cancel()
            memory = director.context.memory
            return around.router.history, around.ipvs.dump(), memory.passes, memory.gates, around.log.getvalue()

    async def scrape_on(scraping: Scraper) -> None:
        while True:
            for _ in await scraping.scrape():
                await asyncio.sleep(0.003)
            await asyncio.sleep(0.003)

    seen = []
    for scraping in (True, False):

        async def story(*, scraping: bool = scraping) -> None:
            (folder := tmp_path / str(scraping)).mkdir()
            seen.append(await told(Node(folder), scraping=scraping))

        play(story())
    assert seen[0] == seen[1]


def test_bird_s_answers_are_counted_by_their_meaning(node: Node, play: Play) -> None:
    node.router = router = RefusingRouter()

    async def story() -> None:
        async with node.running() as director:
            scraping = scraper(node, director)
            node.want(web())
            await until(lambda: node.router.held)
            name = "balanced_director_bird_configures_total"
            assert (await page(scraping)).value(name, what="vips", result="done") == 1
            assert (await page(scraping)).value(name, what="sessions", result="done") == 1
            router.refusing = True
            node.want(web(), web(OTHER_VIP))
            await until(lambda: "bird" in director.context.standing.all)
            assert (await page(scraping)).value(name, what="vips", result="refused") >= 1

    play(story())


def test_events_are_counted_and_so_are_those_that_nobody_will_hear_of(node: Node, play: Play) -> None:
    publisher = node.publisher = FakePublisher()

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: len(publisher.told) == 3)
            publisher.dropped = 2
            found = await page(scraper(node, director))
            assert found.value("balanced_director_events_written_total") == 3
            assert found.value("balanced_director_events_dropped_total") == 2

    play(story())


def test_without_a_publisher_there_are_no_figures_about_events(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            assert "events_" not in await scraped(scraper(node, director))

    play(story())


def test_fault_38_a_state_that_cannot_be_written_is_counted(node: Node, play: Play, tmp_path: Path) -> None:
    node.configure(state_dir=tmp_path / "gone")

    async def story() -> None:
        async with node.running() as director:
            assert (await page(scraper(node, director))).value(FAILURES) == 0
            node.want(web())
            await until(lambda: "snapshot" in director.context.standing.all)
            assert (await page(scraper(node, director))).value(FAILURES) >= 1
            await until(lambda: node.router.held)

    play(story())


def test_a_session_that_is_down_exports_nothing(node: Node, play: Play) -> None:
    node.router = LonelyRouter()

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            found = await page(scraper(node, director))
            assert found.value("balanced_director_vip_announced", vip=str(VIP)) == 1
            assert found.value("balanced_director_vip_exported_peers", vip=str(VIP)) == 0
            assert found.values("balanced_director_bgp_session_up") == [0, 0]
            assert found.value("balanced_director_conditions", condition="isolated") == 1
            assert found.values("balanced_director_convergence_seconds_count", stage="exported") == []

    play(story())


def test_drift_is_counted_by_kind_and_wanted_work_is_none(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(backends=3))
            await until(lambda: node.router.held)
            found = await page(scraper(node, director))
            assert found.values("balanced_director_repairs_total") == []
            node.ipvs.flush()
            node.link.lose(VIP)
            node.monitor.report()
            await until(lambda: node.ipvs.dump() and VIP in node.link.dump().addresses)
            found = await page(scraper(node, director))
            assert found.value("balanced_director_repairs_total", kind="address") == 1
            assert found.value("balanced_director_repairs_total", kind="service") >= 1
            assert found.value("balanced_director_repairs_total", kind="destination") == 3

    play(story())


@pytest.mark.parametrize(
    ("state", "proof", "word"),
    [
        pytest.param(GateState(Phase.UP), None, "announced", id="open"),
        pytest.param(GateState(), None, "unknown", id="not looked at yet"),
        pytest.param(GateState(), Proof(VIP, ok=False, reason="x", fault="x"), "kernel", id="a fault"),
        pytest.param(GateState(), Proof(VIP, ok=False, reason="x"), "backends", id="too few backends"),
        pytest.param(GateState(), Proof(VIP, ok=True, reason="", caution="x"), "mtu", id="a path too small"),
        pytest.param(GateState(proofs=1), Proof(VIP, ok=True, reason=""), "rising", id="being proven"),
        pytest.param(GateState(proofs=3), Proof(VIP, ok=True, reason=""), "held_down", id="damped"),
        pytest.param(GateState(repairs_s=(1, 2, 3)), Proof(VIP, ok=True, reason=""), "repairs", id="repaired often"),
    ],
)
def test_why_a_gate_is_as_it_is_has_one_of_a_few_words(state: GateState, proof: Proof | None, word: str) -> None:
    assert reason_word(state, proof, GatePolicy(rise=3)) == word
    assert word in metrics.VIP_GATE.help
