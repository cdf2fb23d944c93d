"""Kubernetes objects -> desired services."""

from typing import Any

import pytest

from appliance.model.desired import ServiceDefaults
from appliance.model.service import ServiceFlag
from appliance.sources.kubernetes.objects import Endpoints, EndpointSlice, Placed, Service, decode
from appliance.sources.kubernetes.translate import SCHEDULER_ANNOTATION, Translation, translate

JsonObject = dict[str, Any]


def service(**changes: Any) -> Placed:
    """default/web, VIP 10.50.0.1, port 80."""
    tree: JsonObject = {
        "metadata": {"name": "web", "annotations": changes.get("annotations")},
        "spec": {"type": changes.get("type", "LoadBalancer"), "ports": changes.get("ports", [{"port": 80}])},
        "status": {"loadBalancer": {"ingress": changes.get("ingress", [{"ip": "10.50.0.1"}])}},
    }
    if "load_balancer_ip" in changes:
        tree["spec"]["loadBalancerIP"] = changes["load_balancer_ip"]
    return Placed(decode(Service, tree), "web.yaml:1")


def endpoint_slice(*endpoints: JsonObject | str, family: str = "IPv4", ports: Any = ({"port": 80},)) -> Placed:
    tree = {
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": family,
        "ports": ports,
        "endpoints": [{"addresses": [one]} if isinstance(one, str) else one for one in endpoints],
    }
    return Placed(decode(EndpointSlice, tree))


def endpoints(*, ready: tuple[str, ...] = (), rest: tuple[str, ...] = ()) -> Placed:
    subset = {
        "addresses": [{"ip": one} for one in ready],
        "notReadyAddresses": [{"ip": one} for one in rest],
        "ports": [{"port": 80}],
    }
    return Placed(decode(Endpoints, {"metadata": {"name": "web"}, "subsets": [subset]}))


def told(*objects: Placed) -> Translation:
    return translate(objects, ServiceDefaults())


def backends(translation: Translation) -> dict[str, bool]:
    [wanted] = translation.services
    return {str(backend.address): backend.ready for backend in wanted.backends}


def test_a_service_with_its_slice_becomes_a_desired_service() -> None:
    [wanted] = told(service(), endpoint_slice("10.1.0.1")).services
    assert (str(wanted.key), wanted.owner, wanted.origin) == ("tcp/10.50.0.1:80", "default/web", "web.yaml:1")
    assert [str(backend.address) for backend in wanted.backends] == ["10.1.0.1"]


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "ExternalName", None])
def test_other_types_are_ignored_without_a_word(kind: str | None) -> None:
    assert told(service(type=kind)) == Translation()


def test_every_vip_and_every_port_is_a_service() -> None:
    ports = [{"port": 80, "name": "a"}, {"port": 53, "protocol": "UDP", "name": "b"}, {"port": 9, "protocol": "SCTP"}]
    wanted = told(service(ports=ports, ingress=[{"ip": "10.50.0.1"}, {"hostname": "x"}, {"ip": "2001:db8::1"}]))
    assert {str(one.key) for one in wanted.services} == {
        f"{protocol}/{vip}:{port}"
        for protocol, port in (("tcp", 80), ("udp", 53), ("sctp", 9))
        for vip in ("10.50.0.1", "[2001:db8::1]")
    }


@pytest.mark.parametrize(
    ("ingress", "vips"),
    [
        pytest.param([], ["10.50.0.9"], id="the spec's where the status has none"),
        pytest.param([{"ip": "10.50.0.1"}], ["10.50.0.1"], id="the status goes first"),
    ],
)
def test_where_the_vip_comes_from(ingress: list[JsonObject], vips: list[str]) -> None:
    translation = told(service(ingress=ingress, load_balancer_ip="10.50.0.9"))
    assert [str(one.key.vip) for one in translation.services] == vips


def test_a_service_without_vip_is_a_problem() -> None:
    [problem] = told(service(ingress=[])).problems
    assert str(problem) == (
        "web.yaml:1: service default/web: has no VIP (write status.loadBalancer.ingress[].ip or spec.loadBalancerIP)"
    )


@pytest.mark.parametrize(
    ("port", "slice_ports", "refusal"),
    [
        pytest.param({"port": 80}, [{"port": 80}], "", id="absent"),
        pytest.param({"port": 80, "targetPort": 80}, [{"port": 80}], "", id="equal"),
        pytest.param({"port": 80, "targetPort": 8080}, [], "targetPort 8080 differs from port 80", id="another"),
        pytest.param({"port": 80, "targetPort": "web"}, [{"port": 80}], "", id="named, the same number"),
        pytest.param(
            {"port": 80, "targetPort": "web"},
            [{"port": 8080}],
            "targetPort web is 8080, which differs from port 80",
            id="named, another number",
        ),
        pytest.param({"port": 80, "targetPort": "web"}, [], "", id="named, not known yet"),
        pytest.param(
            {"port": 80},
            [{"port": 8080}],
            "the endpoints' port is 8080, which differs from port 80",
            id="slice differs",
        ),
        pytest.param({"port": 80, "name": "a"}, [{"port": 8080, "name": "b"}], "", id="another port of the slice"),
    ],
)
def test_a_port_that_would_be_rewritten_is_refused(
    port: JsonObject, slice_ports: list[JsonObject], refusal: str
) -> None:
    translation = told(service(ports=[port]), endpoint_slice("10.1.0.1", ports=slice_ports))
    assert [problem.what for problem in translation.problems] == ([refusal] if refusal else [])
    assert len(translation.services) == (0 if refusal else 1)


def test_a_refused_port_leaves_the_other_ports_alone() -> None:
    ports = [{"port": 80, "name": "a", "targetPort": 8080}, {"port": 443, "name": "b"}]
    translation = told(service(ports=ports))
    assert [one.key.port for one in translation.services] == [443]
    assert translation.problems[0].where == "web.yaml:1: service default/web: port 80"


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        (None, True),
        ({}, True),
        ({"ready": None}, True),
        ({"ready": True}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
        ({"ready": True, "terminating": True}, False),
        ({"terminating": True}, False),
        ({"ready": True, "terminating": False}, True),
    ],
)
def test_readiness_of_an_endpoint(conditions: JsonObject | None, ready: bool) -> None:  # noqa: FBT001 - a table's column
    translation = told(service(), endpoint_slice({"addresses": ["10.1.0.1"], "conditions": conditions}))
    assert backends(translation) == {"10.1.0.1": ready}


def test_endpoints_serve_where_there_is_no_slice() -> None:
    classic = endpoints(ready=("10.1.0.1",), rest=("10.1.0.2",))
    assert backends(told(service(), classic)) == {"10.1.0.1": True, "10.1.0.2": False}
    assert backends(told(service(), classic, endpoint_slice("10.1.0.7"))) == {"10.1.0.7": True}


def test_an_address_in_two_slices_is_one_backend_and_ready_if_either_says_so() -> None:
    unready = {"addresses": ["10.1.0.1"], "conditions": {"ready": False}}
    assert backends(told(service(), endpoint_slice(unready), endpoint_slice("10.1.0.1"))) == {"10.1.0.1": True}
    assert backends(told(service(), endpoint_slice("10.1.0.1"), endpoint_slice(unready))) == {"10.1.0.1": True}


def test_a_vip_takes_the_slices_of_its_own_family() -> None:
    both = endpoint_slice("10.1.0.1"), endpoint_slice("2001:db8:1::1", family="IPv6")
    wanted = told(service(ingress=[{"ip": "10.50.0.1"}, {"ip": "2001:db8::1"}]), *both).services
    assert [[str(one.address) for one in service.backends] for service in wanted] == [["10.1.0.1"], ["2001:db8:1::1"]]
    assert backends(told(service(), both[1])) == {"2001:db8:1::1": True}


def test_an_empty_slice_of_the_own_family_is_not_replaced_by_the_other_family() -> None:
    assert backends(told(service(), endpoint_slice(), endpoint_slice("2001:db8:1::1", family="IPv6"))) == {}


@pytest.mark.parametrize(
    ("text", "scheduler", "flags", "problems"),
    [
        ("hrw", "mh", ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2, 0),
        ("rr", "rr", ServiceFlag.NONE, 0),
        ("best", "mh", ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2, 1),
    ],
)
def test_the_scheduler_annotation(text: str, scheduler: str, flags: ServiceFlag, problems: int) -> None:
    translation = told(service(annotations={SCHEDULER_ANNOTATION: text}))
    [wanted] = translation.services
    assert (wanted.scheduler, wanted.flags, len(translation.problems)) == (scheduler, flags, problems)


def test_services_keep_the_order_of_the_objects_and_slices_may_come_first() -> None:
    assert backends(told(endpoint_slice("10.1.0.1"), service())) == {"10.1.0.1": True}


def test_slices_of_host_names_are_ignored() -> None:
    assert backends(told(service(), endpoint_slice("a.example.org", family="FQDN"))) == {}
