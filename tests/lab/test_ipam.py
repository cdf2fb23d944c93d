"""From a Service without an address to an answer: API server, allocator, two directors, router, servers, client.

The API server is the double, which is ready at once where the real one takes minutes in this kernel; the contract suite
has the allocator on both.
"""

import json
import sys
import time
from collections.abc import Iterator

import pytest

from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.objects import endpoint_slice, service
from tests.lab.hosts import Process, wait_until
from tests.lab.serving import BOTH, Serving
from tests.lab.topology import SERVERS, build_lab

VIP = "10.50.0.20"
API_ADDRESS = "10.9.9.9"
START_S = 180.0
"""For a process that imports everything at once with two directors on the kernel's one processor."""
POOL = "10.50.0.20-10.50.0.29"


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with build_lab() as lab:
        yield Serving(lab, lab.client.folder)


@pytest.fixture(scope="module")
def api(serving: Serving) -> Iterator[Api]:
    """An API server on the router, which two directors follow."""
    lab = serving.lab
    lab.router.ip(f"addr add {API_ADDRESS}/32 dev lo")
    with lab.router.network():
        server = Double(address=API_ADDRESS)
        server.__enter__()
    try:
        with lab.router.network():
            api = Api(server, "shop")
        serving.sources = f"{{kubernetes: {{kubeconfig: {server.kubeconfig()}, max_retry_s: 2}}}}"
        for director in lab.directors:
            director.ip(f"route add {API_ADDRESS}/32 via {director.link.router4}")
            serving.start(director)
        yield api
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="module")
def allocator(serving: Serving, api: Api) -> Process:
    """An allocator in a process of its own, next to the API server."""
    router = serving.lab.router
    section = {
        "kubeconfig": str(api.kubeconfig()),
        "metrics_port": None,
        "health_port": None,
        "pools": [{"name": "public", "addresses": [POOL]}],
        "lease": {"namespace": api.namespace, "duration_s": 15, "renew_within_s": 10, "retry_s": 1},
    }
    path = router.write("ipam.yaml", json.dumps({"ipam": section}))
    process = router.start([sys.executable, "-m", "appliance", "ipam", "--config", str(path)], "ipam")
    process.wait_for_log("leading", within_s=START_S)
    return process


def test_a_service_without_an_address_gets_one_and_is_served_there(
    serving: Serving, api: Api, allocator: Process
) -> None:
    lab = serving.lab
    lab.serve(VIP)
    begun_s = time.monotonic()
    with lab.router.network():
        api.create_all([service("web", vips=()), endpoint_slice("web", [str(one.address4) for one in lab.servers])])
    serving.wait_for(VIP, BOTH, within_s=START_S)
    print(f"Service created -> announced by both directors: {time.monotonic() - begun_s:.2f} s")
    assert set(lab.client.spread(VIP, 40)) == set(SERVERS)
    assert all(VIP in one.ipvs() for one in lab.directors)
    assert "address given SERVICE=shop/web TO=10.50.0.20" in allocator.text()


def test_an_allocator_that_is_killed_and_started_again_moves_nothing(
    serving: Serving, api: Api, allocator: Process
) -> None:
    with serving.no_route_change():
        allocator.kill()
        assert serving.lab.client.spread(VIP, 20).total() == 20
    assert api.namespace == "shop"


def test_a_service_that_is_no_load_balancer_any_more_is_withdrawn_and_its_address_free(
    serving: Serving, api: Api
) -> None:
    router = serving.lab.router
    again = router.start([sys.executable, "-m", "appliance", "ipam", "--config", f"{router.folder}/ipam.yaml"], "again")
    again.wait_for_log("leading", within_s=START_S)
    with router.network():
        api.patch(service("web"), {"spec": {"type": "ClusterIP"}})
    serving.wait_for(VIP, set(), within_s=30)

    def is_free() -> bool:
        with router.network():
            return "ingress" not in (api.get("Service", "web")["status"]["loadBalancer"] or {})

    wait_until(is_free, 20, "the status to be empty")
