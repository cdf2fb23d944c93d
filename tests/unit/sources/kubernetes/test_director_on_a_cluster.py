"""A whole director on a cluster, on fakes and virtual time."""

import asyncio
from pathlib import Path
from random import Random

from appliance.director.loop import Director
from appliance.director.ports import Ports
from appliance.model.desired import ServiceDefaults
from appliance.sources.kubernetes.source import KubernetesSource, Scope
from appliance.telemetry.journal import Journal
from tests.unit.director.harness import VIP, Node, key, until
from tests.unit.director.scraping import page, scraper
from tests.unit.sources.kubernetes.fake_api import FakeApi, Object, down, endpoint_slice, service
from tests.unit.sources.kubernetes.watched import play

CPS = "balanced_ipvs_controller_dest_cps"
PROGRAMMED = "balanced_ipvs_controller_ipvs_programmed_total"


class ClusterNode(Node):
    """A node whose source is a cluster."""

    def __init__(self, directory: Path, api: FakeApi) -> None:
        super().__init__(directory)
        self.api = api

    def director(self) -> Director:
        chance = Random(1)  # noqa: S311 - the same jitter each time
        source = KubernetesSource(self.api, Scope(), ServiceDefaults(), lambda _: None, chance=chance)
        ports = Ports(self.ipvs, self.link, self.routes, self.monitor, self.router, {"kubernetes": source})
        return Director(self.settings, ports, Journal(self.log, prefix=False), asyncio.get_running_loop().time)

    def weights(self) -> dict[str, int]:
        """Weight of each destination of the VIP that the kernel holds."""
        found = self.ipvs.dump().get(key())
        return {str(each.address): each.weight for each in found.destinations} if found else {}


def test_i3_an_outage_moves_nothing_and_what_changed_meanwhile_is_applied_after_it(tmp_path: Path) -> None:
    async def story() -> None:
        api = FakeApi(service("web"), endpoint_slice("web-1", "web", "10.1.0.1"))
        node = ClusterNode(tmp_path, api)
        async with node.running() as director:
            await until(lambda: VIP in node.router.held, within_s=5)
            api.fault = down()
            api.drop()
            told = len(node.router.history)
            await asyncio.sleep(3600)
            assert node.weights() == {"10.1.0.1": 1}
            assert len(node.router.history) == told
            condition = director.context.standing.all["source kubernetes"]
            assert "connection refused (since " in condition
            api.put(endpoint_slice("web-1", "web", "10.1.0.1", "10.1.0.2"))
            api.fault = None
            await until(lambda: node.weights() == {"10.1.0.1": 1, "10.1.0.2": 1}, within_s=31)
            await until(lambda: not director.context.standing.all)
            api.delete("Service", "web")
            await until(lambda: VIP not in node.router.held, within_s=1)

    play(story())


def test_metrics_name_the_pods_and_follow_them(tmp_path: Path) -> None:
    """Also where another pod takes over the address, as on its node's network, and nothing is to be programmed."""

    def slice_of(pod: str) -> Object:
        found = endpoint_slice("web-1", "web", "10.1.0.1")
        found["endpoints"][0]["targetRef"] = {"kind": "Pod", "name": pod}
        return found

    async def story() -> None:
        api = FakeApi(service("web"), slice_of("web-a"))
        node = ClusterNode(tmp_path, api)
        async with node.running() as director:
            await until(lambda: VIP in node.router.held, within_s=5)
            found = await page(scraper(node, director))
            assert found.value(CPS, endpoint_type="Pod", endpoint_ip="10.1.0.1", endpoint_name="web-a") == 1
            programmed = found.values(PROGRAMMED)
            api.put(slice_of("web-b"))
            await asyncio.sleep(1)
            found = await page(scraper(node, director))
            assert found.labels(CPS, "endpoint_name") == ["web-b"]
            assert found.values(PROGRAMMED) == programmed

    play(story())


def test_a_director_that_starts_in_an_outage_touches_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        api = FakeApi(service("web"), endpoint_slice("web-1", "web", "10.1.0.1"))
        api.fault = down()
        node = ClusterNode(tmp_path, api)
        node.router.held = frozenset({VIP})
        async with node.running():
            await asyncio.sleep(600)
            assert node.router.history == []
            assert node.router.held == {VIP}
            api.fault = None
            await until(node.weights, within_s=31)

    play(story())


def test_convergence_counts_from_when_the_cluster_is_heard_again_and_not_from_the_outage(tmp_path: Path) -> None:
    async def story() -> None:
        api = FakeApi(service("web"), endpoint_slice("web-1", "web", "10.1.0.1"))
        node = ClusterNode(tmp_path, api)
        loop = asyncio.get_running_loop()
        async with node.running() as director:
            await until(lambda: VIP in node.router.held, within_s=5)
            api.fault = down()
            api.drop()
            await until(lambda: director.context.standing.all)
            await asyncio.sleep(600)
            api.put(endpoint_slice("web-1", "web", "10.1.0.1", "10.1.0.2"))
            api.fault = None
            await until(lambda: "10.1.0.2" in node.weights(), within_s=31)
            seen_s = director.context.memory.snapshots["kubernetes"].seen_s
            assert seen_s is not None
            assert loop.time() - seen_s < 31
            api.put(endpoint_slice("web-1", "web", "10.1.0.2"))
            changed_s = loop.time()
            await until(lambda: node.weights()["10.1.0.1"] == 0)
            assert director.context.memory.snapshots["kubernetes"].seen_s == changed_s

    play(story())
