"""A cluster with many Services at once: all of them are programmed, proven and announced."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.objects import Object, endpoint_slice, service
from tests.lab.faults.watcher import WITHDRAWN, Watcher
from tests.lab.hosts import wait_until
from tests.lab.serving import Serving
from tests.lab.topology import Director, build_lab

SERVICES = 5000
VIPS = 200


def many(backends: list[str]) -> Iterator[Object]:
    """Services on ports of their own, SERVICES / VIPS of them on each VIP, with an EndpointSlice each."""
    for number in range(SERVICES):
        port = 1000 + number // VIPS
        yield service(f"s{number}", vips=[f"10.50.0.{number % VIPS + 1}"], ports=[port])
        yield endpoint_slice(f"s{number}", backends, ports=[port])


@dataclass(frozen=True)
class Cluster:
    """One director that serves them all, from the double of an API server."""

    serving: Serving
    director: Director
    api: Api

    @property
    def services(self) -> int:
        """How many of them stand in the director's table."""
        return self.director.run(["ipvsadm", "-Sn"]).count("-A ")

    def wait_for_all(self) -> None:
        """Wait until every service stands and every VIP is at the router."""
        wait_until(lambda: self.services == SERVICES, 120, "every service in the table")
        wait_until(lambda: len(self.announced) == VIPS, 120, "every VIP to be announced")

    @property
    def announced(self) -> list[str]:
        """The VIPs that the director lets out."""
        return [vip["vip"] for vip in self.serving.asked(self.director)["vips"] if vip["state"] == "announced"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with build_lab() as lab, lab.directors[0].network(), Double() as double:
        serving, director, api = Serving(lab, lab.client.folder), lab.directors[0], Api(double, "shop")
        api.create_all(many([str(server.address4) for server in lab.servers]))
        serving.sources = f"{{kubernetes: {{kubeconfig: {double.kubeconfig()}}}}}"
        serving.start(director)
        yield Cluster(serving, director, api)


def test_five_thousand_services_are_served_and_a_change_of_one_is_seen(cluster: Cluster) -> None:
    lab, director = cluster.serving.lab, cluster.director
    last = f"10.50.0.{VIPS}"
    wait_until(lambda: lab.router.routes_to(last) == {"director1"}, 120, "the last VIP at the router")
    status = cluster.serving.status(director)
    assert len(status["vips"]) == VIPS
    assert {vip["state"] for vip in status["vips"]} == {"announced"}
    assert cluster.services == SERVICES

    cluster.api.replace(endpoint_slice("s0", [], ports=[1000]))
    drained = f"-a -t 10.50.0.1:1000 -r {lab.servers[0].address4}:1000 -i -w 0"
    wait_until(lambda: drained in director.run(["ipvsadm", "-Sn"]), 20, "the change of one")
    assert lab.router.routes_to("10.50.0.1") == {"director1"}


def test_fault_23_of_a_flushed_table_routers_hear_before_it_stands_again_and_all_of_it_comes_back(
    cluster: Cluster,
) -> None:
    """Twenty thousand steps take longer than a second here: for what does not fit into that nobody waits."""
    cluster.wait_for_all()
    watcher = Watcher(cluster.serving.lab.router)
    cluster.director.run(["ipvsadm", "-C"])
    withdrawn: set[str] = set()

    def hears() -> bool:
        withdrawn.update(str(each.vip) for each in watcher.changes() if each.kind == WITHDRAWN)
        return bool(withdrawn)

    wait_until(hears, 30, "the first routes to go")
    assert cluster.services < SERVICES
    cluster.wait_for_all()
    wait_until(
        lambda: all(cluster.serving.lab.router.routes_to(vip) == {"director1"} for vip in sorted(withdrawn)[:5]),
        20,
        "the routes to be back",
    )
