"""Row 16: a cluster grows by ten thousand Services while one is being served."""

import re
import time
from collections.abc import Iterator

import pytest

from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.objects import Object, endpoint_slice, resource_of, service
from tests.kube.store import Store
from tests.lab.faults.scenes import UDP_PORTS, UNDAMPED, VIP4
from tests.lab.faults.trial import Trial
from tests.lab.hosts import wait_until
from tests.lab.serving import Serving
from tests.lab.topology import Director, build_lab

FIRST = ["director1"]
SERVICES = 10_000
VIPS = [f"10.50.0.{number}" for number in range(2, 202)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Serving, Double]]:
    """One director, with the API server beside it, that serves one VIP."""
    with build_lab() as lab:
        director = lab.directors[0]
        lab.serve(VIP4)
        with director.network(), Double() as double:
            api = Api(double, "shop")
            api.create(service("web", vips=[VIP4], ports=UDP_PORTS))
            api.create(endpoint_slice("web", [str(server.address4) for server in lab.servers], ports=UDP_PORTS))
            sources = f"{{kubernetes: {{kubeconfig: {double.kubeconfig()}, events: false}}}}"
            serving = Serving(lab, lab.client.folder, sources, gate=UNDAMPED, served=[VIP4])
            serving.start(director)
            serving.wait_for(VIP4, FIRST)
            yield serving, double


@pytest.fixture
def serving(cluster: tuple[Serving, Double]) -> Serving:
    return cluster[0]


@pytest.fixture
def store(cluster: tuple[Serving, Double]) -> Store:
    """The server's objects."""
    return cluster[1].store


def test_fault_16_ten_thousand_services_arrive_and_the_one_that_stands_does_not_notice(
    serving: Serving, store: Store, trial: Trial
) -> None:
    director = serving.lab.directors[0]
    with trial.steady(VIP4):
        configured, begin_s = configures(director), time.monotonic()
        with trial.fault():
            for item in many(str(serving.lab.servers[0].address4)):
                put(store, item)
        wait_until(lambda: director.run(["ipvsadm", "-Sn"]).count("-A ") == SERVICES + 2, 300, "all of them")
        trial.sees(lambda: trial.announced("director1") == {VIP4, *VIPS}, "all VIPs to be announced")
        trial.heard_only(*VIPS)
    assert configures(director) - configured <= time.monotonic() - begin_s + 1


def many(backend: str) -> Iterator[Object]:
    """Services on ports of their own, dozens of them on each VIP, with an EndpointSlice each."""
    for number in range(SERVICES):
        name, port = f"s{number}", 1000 + number // len(VIPS)
        yield service(name, namespace="shop", vips=[VIPS[number % len(VIPS)]], ports=[port])
        yield endpoint_slice(name, [backend], namespace="shop", ports=[port])


def put(store: Store, item: Object) -> None:
    """Over HTTP it would take minutes."""
    home, key = resource_of(item), ("shop", item["metadata"]["name"])
    store.create(home, item)
    if "status" in item:
        store.update(home, key, lambda made: {**made, "status": item["status"]}, status=True)


def configures(director: Director) -> int:
    """How often BIRD was told to read its configuration."""
    text = director.run(["curl", "-s", "http://127.0.0.1:8123/metrics"])
    return sum(int(float(count)) for count in re.findall(r'configures_total\{[^}]*what="vips"[^}]*\} (\S+)', text))
