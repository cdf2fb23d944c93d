"""A real API server, two directors and traffic: what happens in the cluster happens in the network."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.kube.api import Api
from tests.kube.cluster import Cluster
from tests.kube.objects import Object, endpoints, service
from tests.lab.hosts import wait_until
from tests.lab.serving import BOTH, Serving
from tests.lab.topology import SERVERS, Director, Lab, build_lab

VIP = "10.50.0.1"
API_ADDRESS = "10.9.9.9"
OUTAGE_S = 60.0


class ClusterOfLab:
    """The lab's API server, on the router; ``lose`` takes it away from the directors, not from the test."""

    def __init__(self, lab: Lab, api: Api) -> None:
        self.lab, self.api = lab, api
        self.find()

    def run(self, *names: str, of: str = "web") -> None:
        """These real servers, and no others, are the ready endpoints of a Service."""
        addresses = [str(server.address4) for server in self.lab.servers if server.name in names]
        with self.lab.router.network():
            self.api.replace(endpoints(of, addresses))

    def create(self, *items: Object) -> None:
        with self.lab.router.network():
            self.api.create_all(items)

    def delete(self, kind: str, name: str) -> None:
        with self.lab.router.network():
            self.api.delete(kind, self.api.namespace, name)

    def find(self) -> None:
        """The directors have a way to the API server."""
        for director in self.lab.directors:
            director.ip(f"route add {API_ADDRESS}/32 via {director.link.router4}")

    @contextmanager
    def lost(self) -> Iterator[None]:
        """The directors have no way to the API server: connections that stand die in silence, new ones fail."""
        for director in self.lab.directors:
            director.ip(f"route del {API_ADDRESS}/32")
        yield
        self.find()


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with build_lab() as lab:
        yield Serving(lab, lab.client.folder)


@pytest.fixture(scope="module")
def cluster(serving: Serving) -> Iterator[ClusterOfLab]:
    """Two directors that serve the Service web of a cluster."""
    lab = serving.lab
    lab.router.ip(f"addr add {API_ADDRESS}/32 dev lo")
    lab.serve(VIP)
    with lab.router.network():
        server = Cluster(address=API_ADDRESS)
        server.__enter__()
    try:
        with lab.router.network():
            api = Api(server, "shop")
        cluster = ClusterOfLab(lab, api)
        cluster.create(service("web", vips=[VIP]), endpoints("web", [str(one.address4) for one in lab.servers]))
        serving.sources = f"{{kubernetes: {{kubeconfig: {server.kubeconfig()}, max_retry_s: 2}}}}"
        for director in lab.directors:
            serving.start(director)
        serving.wait_for(VIP, BOTH, within_s=60)
        yield cluster
    finally:
        server.__exit__(None, None, None)


def status(serving: Serving) -> dict[str, Any]:
    return serving.status(serving.lab.directors[0])


def answering(serving: Serving, *names: str) -> bool:
    """Whether these servers, and no others, answer new connections."""
    return set(serving.lab.client.spread(VIP, 20)) == set(names)


def test_a_service_of_the_cluster_is_served(serving: Serving, cluster: ClusterOfLab) -> None:  # noqa: ARG001 - the cluster has to stand
    assert answering(serving, *SERVERS)
    (vip,) = status(serving)["vips"]
    assert vip["owners"] == ["shop/web"]


def test_scaling_moves_traffic_and_no_route(serving: Serving, cluster: ClusterOfLab) -> None:
    with serving.no_route_change():
        cluster.run("server1")
        wait_until(lambda: answering(serving, "server1"), 20, "one server to take all")
        cluster.run(*SERVERS)
        wait_until(lambda: answering(serving, *SERVERS), 20, "all servers to answer")


def test_pods_roll_and_no_request_is_lost(serving: Serving, cluster: ClusterOfLab) -> None:
    with serving.no_route_change():
        for gone in SERVERS:
            rest = [name for name in SERVERS if name != gone]
            cluster.run(*rest)
            wait_until(lambda rest=rest: answering(serving, *rest), 20, f"{gone} to get nothing new")  # type: ignore[misc]
        cluster.run(*SERVERS)
        wait_until(lambda: answering(serving, *SERVERS), 20, "all servers to answer")


def test_a_new_service_is_announced_and_a_deleted_one_withdrawn(serving: Serving, cluster: ClusterOfLab) -> None:
    vip = "10.50.0.2"
    serving.lab.serve(vip)
    cluster.create(
        service("mail", vips=[vip], ports=[25]), endpoints("mail", [str(serving.lab.servers[0].address4)], ports=[25])
    )
    serving.wait_for(vip, BOTH)
    cluster.delete("Service", "mail")
    serving.wait_for(vip, set())
    wait_until(lambda: not any(vip in one.ipvs() for one in serving.lab.directors), 20, "the service to be removed")


def test_fault_09_a_minute_without_the_api_moves_nothing(serving: Serving, cluster: ClusterOfLab) -> None:
    lab = serving.lab
    table = lab.directors[0].run(["ipvsadm", "-Sn"])
    with cluster.lost():
        with serving.no_route_change():
            until_s = time.monotonic() + OUTAGE_S
            while time.monotonic() < until_s:
                assert lab.client.spread(VIP, 20).total() == 20
            assert lab.directors[0].run(["ipvsadm", "-Sn"]) == table
            assert "source kubernetes" in status(serving)["conditions"]
        cluster.run("server2")
        assert len(lab.client.spread(VIP, 20)) > 1
    wait_until(lambda: answering(serving, "server2"), 60, "what changed meanwhile to apply")
    wait_until(lambda: not status(serving)["degraded"], 20, "the status to be well again")


def test_events_tell_on_the_service_who_announced_it(serving: Serving, cluster: ClusterOfLab) -> None:
    def announced() -> set[str]:
        with serving.lab.router.network():
            events = cluster.api.list("Event")["items"]
        mine = [each for each in events if each["involvedObject"]["name"] == "web" and each["reason"] == "Announced"]
        return {each["source"]["host"] for each in mine}

    wait_until(lambda: announced() == BOTH, 30, "both directors to say so")


def test_fault_08_both_nodes_boot_without_the_api_and_serve_what_they_knew(
    serving: Serving, cluster: ClusterOfLab
) -> None:
    lab = serving.lab
    wait_until(lambda: all((one.folder / "state/snapshot.json").exists() for one in lab.directors), 20, "snapshots")
    with cluster.lost():
        for director in lab.directors:
            power_off(serving, director)
        serving.wait_for(VIP, set())
        for director in lab.directors:
            serving.start(director)
        serving.wait_for(VIP, BOTH, within_s=90)
        assert "source kubernetes" in status(serving)["conditions"]
        assert lab.client.spread(VIP, 20).total() == 20
    wait_until(lambda: not status(serving)["conditions"], 90, "the API server's own word")


def power_off(serving: Serving, director: Director) -> None:
    """Nothing stays of a director but its disk."""
    serving.daemons[director.name].kill()
    for process in director.processes:
        if process.name.endswith("/bird") and process.running:
            process.kill()
    director.run(["ipvsadm", "-C"])
    director.ip("link del dummy-vip-if")
    for folder in ("run", "include"):
        shutil.rmtree(director.folder / folder)
