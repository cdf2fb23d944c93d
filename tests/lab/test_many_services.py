"""A cluster with many Services at once: all of them are programmed, proven and announced."""

from collections.abc import Iterator

import pytest

from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.objects import Object, endpoint_slice, service
from tests.lab.hosts import wait_until
from tests.lab.serving import Serving
from tests.lab.topology import build_lab

SERVICES = 5000
VIPS = 200


def many(backends: list[str]) -> Iterator[Object]:
    """Services on ports of their own, SERVICES / VIPS of them on each VIP, with an EndpointSlice each."""
    for number in range(SERVICES):
        port = 1000 + number // VIPS
        yield service(f"s{number}", vips=[f"10.50.0.{number % VIPS + 1}"], ports=[port])
        yield endpoint_slice(f"s{number}", backends, ports=[port])


@pytest.fixture
def serving() -> Iterator[Serving]:
    with build_lab() as lab:
        yield Serving(lab, lab.client.folder)


def test_five_thousand_services_are_served_and_a_change_of_one_is_seen(serving: Serving) -> None:
    lab, director = serving.lab, serving.lab.directors[0]
    with director.network(), Double() as double:
        api = Api(double, "shop")
        api.create_all(many([str(server.address4) for server in lab.servers]))
        serving.sources = f"{{kubernetes: {{kubeconfig: {double.kubeconfig()}}}}}"
        serving.start(director)
        last = f"10.50.0.{VIPS}"
        wait_until(lambda: lab.router.routes_to(last) == {"director1"}, 120, "the last VIP at the router")
        status = serving.status(director)
        assert len(status["vips"]) == VIPS
        assert {vip["state"] for vip in status["vips"]} == {"announced"}
        assert director.run(["ipvsadm", "-Sn"]).count("-A ") == SERVICES

        api.replace(endpoint_slice("s0", [], ports=[1000]))
        drained = f"-a -t 10.50.0.1:1000 -r {lab.servers[0].address4}:1000 -i -w 0"
        wait_until(lambda: drained in director.run(["ipvsadm", "-Sn"]), 20, "the change of one")
        assert lab.router.routes_to("10.50.0.1") == {"director1"}
