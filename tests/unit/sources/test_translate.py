"""Kubernetes objects -> desired services."""

from ipaddress import ip_network
from typing import Any

import pytest

from appliance.decide.merge import merge
from appliance.model.desired import ServiceDefaults, Snapshot
from appliance.model.service import ServiceFlag
from appliance.sources.kubernetes.annotations import SCHEDULER, SCHEDULER_FLAGS, WEIGHT
from appliance.sources.kubernetes.decoding import decode
from appliance.sources.kubernetes.objects import Endpoints, EndpointSlice, Placed, Service
from appliance.sources.kubernetes.translate import Translation, translate

JsonObject = dict[str, Any]
MH = ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2


def service(**changes: Any) -> Placed:
    """default/web, VIP 10.50.0.1, port 80."""
    tree: JsonObject = {
        "metadata": {"name": changes.get("name", "web"), "annotations": changes.get("annotations")},
        "spec": {"type": changes.get("type", "LoadBalancer"), "ports": changes.get("ports", [{"port": 80}])},
        "status": {"loadBalancer": {"ingress": changes.get("ingress", [{"ip": "10.50.0.1"}])}},
    }
    tree["spec"] |= changes.get("spec", {})
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
    """What a cluster's objects ask for."""
    return translate(objects, ServiceDefaults())


def told_by_files(*objects: Placed) -> Translation:
    return translate(objects, ServiceDefaults(), from_files=True)


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


@pytest.mark.parametrize(
    ("said", "takes"),
    [({}, True), ({"ipMode": "VIP"}, True), ({"ipMode": "Proxy"}, False), ({"ipMode": "Later"}, True)],
    ids=["nothing, which means VIP", "VIP", "Proxy", "what only later versions know"],
)
def test_kube_proxy_takes_a_vip_too_unless_its_ip_mode_is_proxy(
    said: JsonObject,
    takes: bool,  # noqa: FBT001 - a column
) -> None:
    asks = service(ingress=[{"ip": "10.50.0.1", **said}])
    assert [each.kube_proxy_too for each in told(asks).services] == [takes]
    assert [each.kube_proxy_too for each in told_by_files(asks).services] == [False], "no kube-proxy reads files"


def test_every_vip_and_every_port_is_a_service() -> None:
    ports = [{"port": 80, "name": "a"}, {"port": 53, "protocol": "UDP", "name": "b"}, {"port": 9, "protocol": "SCTP"}]
    wanted = told(service(ports=ports, ingress=[{"ip": "10.50.0.1"}, {"hostname": "x"}, {"ip": "2001:db8::1"}]))
    assert {str(one.key) for one in wanted.services} == {
        f"{protocol}/{vip}:{port}"
        for protocol, port in (("tcp", 80), ("udp", 53), ("sctp", 9))
        for vip in ("10.50.0.1", "[2001:db8::1]")
    }


@pytest.mark.parametrize(
    ("ingress", "in_files", "in_a_cluster"),
    [
        pytest.param([], ["10.50.0.9"], [], id="in files the spec's where the status has none"),
        pytest.param([{"ip": "10.50.0.1"}], ["10.50.0.1"], ["10.50.0.1"], id="the status goes first"),
        pytest.param([{"hostname": "lb"}], ["10.50.0.9"], [], id="a host name is no VIP"),
        pytest.param([{"ip": "10.50.0.1"}, {"ip": "10.50.0.1"}], ["10.50.0.1"], ["10.50.0.1"], id="each once"),
    ],
)
def test_where_the_vip_comes_from(ingress: list[JsonObject], in_files: list[str], in_a_cluster: list[str]) -> None:
    asks = service(ingress=ingress, spec={"loadBalancerIP": "10.50.0.9"})
    assert [str(one.key.vip) for one in told_by_files(asks).services] == in_files
    assert [str(one.key.vip) for one in told(asks).services] == in_a_cluster


def test_cve_2020_8554_external_ips_are_ignored() -> None:
    """Anyone who may write a Service can write them: they would take over whatever address they name."""
    hostile = service(spec={"externalIPs": ["10.50.0.66", "192.0.2.1"]})
    for translation in (told(hostile), told_by_files(hostile)):
        assert [str(one.key.vip) for one in translation.services] == ["10.50.0.1"]
        assert (translation.problems, translation.notes) == ((), ())
    only = service(ingress=[], spec={"externalIPs": ["10.50.0.66"]})
    assert told(only).services == told_by_files(only).services == ()


def test_i5_a_vip_of_the_status_outside_the_pools_is_refused_and_the_one_inside_is_served() -> None:
    translation = told(service(ingress=[{"ip": "192.0.2.1"}, {"ip": "10.50.0.1"}]))
    desired = merge([Snapshot("kubernetes", translation.services)], [ip_network("10.50.0.0/24")])
    assert [str(key) for key in desired.services] == ["tcp/10.50.0.1:80"]
    assert [(problem.owner, problem.what) for problem in desired.problems] == [
        ("default/web", "192.0.2.1 is outside the pools of this node")
    ]


def test_of_two_services_on_one_vip_and_port_the_first_in_the_snapshot_keeps_it() -> None:
    translation = told(service(name="older"), service(name="newer"), service(name="other", ports=[{"port": 443}]))
    desired = merge([Snapshot("kubernetes", translation.services)], [ip_network("10.50.0.0/24")])
    assert {str(key): one.owner for key, one in desired.services.items()} == {
        "tcp/10.50.0.1:80": "default/older",
        "tcp/10.50.0.1:443": "default/other",
    }
    assert [problem.owner for problem in desired.problems] == ["default/newer"]


def test_a_service_without_vip_in_a_file_is_a_problem() -> None:
    [problem] = told_by_files(service(ingress=[])).problems
    assert str(problem) == (
        "web.yaml:1: service default/web: has no VIP (write status.loadBalancer.ingress[].ip or spec.loadBalancerIP)"
    )


def test_a_service_of_a_cluster_that_waits_for_its_vip_is_only_noted() -> None:
    translation = told(service(ingress=[]))
    assert translation.problems == ()
    assert [note.what for note in translation.notes] == ["has no VIP yet"]


@pytest.mark.parametrize(
    ("ingress", "problems"),
    [
        pytest.param([{"hostname": "lb.example.org"}], ["has no VIP, only a host name"], id="only a host name"),
        pytest.param([{"hostname": "lb.example.org"}, {"ip": "10.50.0.1"}], [], id="a host name beside an address"),
        pytest.param([{}], ["has no VIP, only a host name"], id="nothing at all"),
    ],
)
def test_a_host_name_is_a_problem_only_where_there_is_no_address(
    ingress: list[JsonObject], problems: list[str]
) -> None:
    assert [problem.what for problem in told(service(ingress=ingress)).problems] == problems


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
    ("conditions", "beside_a_ready_one", "alone"),
    [
        pytest.param(None, True, True, id="nothing said"),
        pytest.param({}, True, True, id="empty"),
        pytest.param({"ready": None}, True, True, id="ready unset"),
        pytest.param({"ready": True}, True, True, id="ready"),
        pytest.param({"ready": True, "terminating": False}, True, True, id="ready, explicitly not terminating"),
        pytest.param({"ready": False}, False, False, id="not ready"),
        pytest.param({"ready": False, "serving": False}, False, False, id="neither ready nor serving"),
        pytest.param({"ready": False, "serving": True}, False, False, id="serving without being ready"),
        pytest.param(
            {"ready": False, "serving": True, "terminating": True}, False, True, id="terminating, still serving"
        ),
        pytest.param({"ready": False, "serving": False, "terminating": True}, False, False, id="terminating, done"),
        pytest.param({"ready": False, "terminating": True}, False, False, id="terminating: serving is as ready"),
        pytest.param({"terminating": True}, False, True, id="terminating and nothing else said"),
        pytest.param({"ready": True, "terminating": True}, False, True, id="called ready all the same"),
    ],
)
def test_readiness_of_an_endpoint(conditions: JsonObject | None, beside_a_ready_one: bool, alone: bool) -> None:  # noqa: FBT001 - a table's columns
    one = {"addresses": ["10.1.0.1"], "conditions": conditions}
    assert backends(told(service(), endpoint_slice(one))) == {"10.1.0.1": alone}
    assert backends(told(service(), endpoint_slice(one, "10.1.0.9"))) == {
        "10.1.0.1": beside_a_ready_one,
        "10.1.0.9": True,
    }


def leaving(address: str) -> JsonObject:
    return {"addresses": [address], "conditions": {"ready": False, "serving": True, "terminating": True}}


def unready(address: str) -> JsonObject:
    return {"addresses": [address], "conditions": {"ready": False, "serving": False}}


def test_terminating_endpoints_serve_on_only_while_none_is_ready() -> None:
    """A rolling update whose new pods are not ready yet is no outage, as with kube-proxy (KEP-1669)."""
    old = endpoint_slice(leaving("10.1.0.1"), leaving("10.1.0.2"), unready("10.1.0.3"))
    assert backends(told(service(), old)) == {"10.1.0.1": True, "10.1.0.2": True, "10.1.0.3": False}
    assert backends(told(service(), old, endpoint_slice("10.1.0.3"))) == {
        "10.1.0.1": False,
        "10.1.0.2": False,
        "10.1.0.3": True,
    }


def test_terminating_endpoints_are_judged_for_each_port_and_family_by_itself() -> None:
    ports = [{"port": 80, "name": "a"}, {"port": 443, "name": "b"}]
    vips = [{"ip": "10.50.0.1"}, {"ip": "2001:db8::1"}]
    translation = told(
        service(ports=ports, ingress=vips),
        endpoint_slice(leaving("10.1.0.1"), ports=ports),
        endpoint_slice("10.1.0.2", ports=ports[1:]),
        endpoint_slice(leaving("2001:db8:1::1"), family="IPv6", ports=ports),
    )
    assert {str(one.key): {str(each.address): each.ready for each in one.backends} for one in translation.services} == {
        "tcp/10.50.0.1:80": {"10.1.0.1": True},
        "tcp/10.50.0.1:443": {"10.1.0.1": False, "10.1.0.2": True},
        "tcp/[2001:db8::1]:80": {"2001:db8:1::1": True},
        "tcp/[2001:db8::1]:443": {"2001:db8:1::1": True},
    }


def test_endpoints_serve_where_there_is_no_slice() -> None:
    classic = endpoints(ready=("10.1.0.1",), rest=("10.1.0.2",))
    assert backends(told(service(), classic)) == {"10.1.0.1": True, "10.1.0.2": False}
    assert backends(told(service(), classic, endpoint_slice("10.1.0.7"))) == {"10.1.0.7": True}


def test_an_address_in_two_slices_is_one_backend_and_ready_if_either_says_so() -> None:
    not_here = unready("10.1.0.1")
    assert backends(told(service(), endpoint_slice(not_here), endpoint_slice("10.1.0.1"))) == {"10.1.0.1": True}
    assert backends(told(service(), endpoint_slice("10.1.0.1"), endpoint_slice(not_here))) == {"10.1.0.1": True}


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
        ("hrw", "mh", MH, 0),
        ("rr", "rr", ServiceFlag.NONE, 0),
        ("best", "mh", MH, 1),
    ],
)
def test_the_scheduler_annotation(text: str, scheduler: str, flags: ServiceFlag, problems: int) -> None:
    translation = told(service(annotations={SCHEDULER: text}))
    [wanted] = translation.services
    assert (wanted.scheduler, wanted.flags, len(translation.problems)) == (scheduler, flags, problems)


def test_services_keep_the_order_of_the_objects_and_slices_may_come_first() -> None:
    assert backends(told(endpoint_slice("10.1.0.1"), service())) == {"10.1.0.1": True}


def test_slices_of_host_names_are_ignored() -> None:
    assert backends(told(service(), endpoint_slice("a.example.org", family="FQDN"))) == {}


def test_the_weight_annotation_is_the_weight_of_every_backend() -> None:
    [wanted] = told(service(annotations={WEIGHT: "7"}), endpoint_slice("10.1.0.1", unready("10.1.0.2"))).services
    assert [(each.weight, each.ready) for each in wanted.backends] == [(7, True), (7, False)]


@pytest.mark.parametrize(
    ("scheduler", "config", "flags", "persistence_s"),
    [
        pytest.param("mh", None, ServiceFlag.SCHEDULER_1, 0, id="mh: by the client address alone"),
        pytest.param("mh", {"clientIP": {"timeoutSeconds": 60}}, ServiceFlag.SCHEDULER_1, 0, id="mh: no time-out"),
        pytest.param("sh", None, ServiceFlag.NONE, 0, id="sh hashes as well"),
        pytest.param("rr", None, ServiceFlag.PERSISTENT, 10800, id="rr: the kernel remembers, for the default time"),
        pytest.param("rr", {"clientIP": {}}, ServiceFlag.PERSISTENT, 10800, id="rr: no time said"),
        pytest.param("wlc", {"clientIP": {"timeoutSeconds": 60}}, ServiceFlag.PERSISTENT, 60, id="wlc: for that time"),
    ],
)
def test_session_affinity_keeps_a_client_at_its_backend(
    scheduler: str, config: JsonObject | None, flags: ServiceFlag, persistence_s: int
) -> None:
    spec = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": config}
    translation = told(service(annotations={SCHEDULER: scheduler}, spec=spec))
    [wanted] = translation.services
    assert (wanted.flags, wanted.persistence_s) == (flags, persistence_s)
    assert (translation.problems, translation.notes) == ((), ())


@pytest.mark.parametrize(
    ("ranges", "read"),
    [
        pytest.param(None, [], id="none said"),
        pytest.param([], [], id="an empty list lets everybody in"),
        pytest.param(["198.51.100.0/24 ", "192.0.2.9/24"], ["192.0.2.0/24", "198.51.100.0/24"], id="spaces, host bits"),
        pytest.param(["2001:db8:7::/48"], ["2001:db8:7::/48"], id="of the other IP version alone"),
    ],
)
def test_source_ranges_say_who_gets_through_to_every_port(ranges: list[str] | None, read: list[str]) -> None:
    ports = [{"port": 80}, {"name": "tls", "port": 443}]
    translation = told(service(ports=ports, spec={"loadBalancerSourceRanges": ranges}))
    assert [list(map(str, each.source_ranges)) for each in translation.services] == [read, read]
    assert (translation.problems, translation.notes) == ((), ())


@pytest.mark.parametrize("affinity", ["None", None])
def test_without_session_affinity_nothing_is_persistent(affinity: str | None) -> None:
    spec = {"sessionAffinity": affinity, "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}
    [wanted] = told(service(spec=spec)).services
    assert (wanted.flags, wanted.persistence_s) == (MH, 0)


def test_a_flag_asked_for_by_name_that_the_affinity_leaves_out_is_noted() -> None:
    spec = {"sessionAffinity": "ClientIP"}
    translation = told(service(annotations={SCHEDULER_FLAGS: "mh-port"}, spec=spec))
    [wanted] = translation.services
    assert wanted.flags == ServiceFlag.NONE
    assert [note.what for note in translation.notes] == ["mh-port is left out, for sessionAffinity is ClientIP"]
    assert told(service(annotations={SCHEDULER_FLAGS: "mh-fallback"}, spec=spec)).notes == ()


def test_what_is_said_about_a_service_names_it() -> None:
    """So that it can be told at the Service itself."""
    bad = service(annotations={WEIGHT: "x", SCHEDULER: "hrw"}, ports=[{"port": 80, "targetPort": 81}], ingress=[])
    translation = told(bad)
    assert len(translation.problems) == len(translation.notes) == 2
    assert {each.owner for each in (*translation.problems, *translation.notes)} == {"default/web"}


POD, MACHINE = {"kind": "Pod", "name": "web-1"}, {"kind": "VirtualMachine", "name": "vm-1"}


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        pytest.param(POD, ("web-1", True), id="a pod"),
        pytest.param(MACHINE, ("vm-1", False), id="something else has its name, and is no pod"),
        pytest.param({"name": "x"}, ("x", False), id="of no kind"),
        pytest.param({"kind": "Pod"}, ("", True), id="a pod without a name"),
        pytest.param(None, ("", False), id="nothing that the cluster knows"),
    ],
)
def test_a_backend_has_the_name_of_what_stands_behind_it(
    reference: JsonObject | None, target: tuple[str, bool]
) -> None:
    of_slice = endpoint_slice({"addresses": ["10.1.0.1"], "targetRef": reference})
    subset = {"addresses": [{"ip": "10.1.0.1", "targetRef": reference}], "ports": [{"port": 80}]}
    classic = Placed(decode(Endpoints, {"metadata": {"name": "web"}, "subsets": [subset]}))
    for objects in (of_slice, classic):
        [wanted] = told(service(), objects).services
        assert [(each.target, each.is_pod) for each in wanted.backends] == [target]


def test_of_two_that_share_an_address_the_fitter_gives_the_name() -> None:
    gone = {"addresses": ["10.1.0.1"], "conditions": {"ready": False}, "targetRef": MACHINE}
    [wanted] = told(service(), endpoint_slice(gone, {"addresses": ["10.1.0.1"], "targetRef": POD})).services
    assert [(each.target, each.ready) for each in wanted.backends] == [("web-1", True)]
