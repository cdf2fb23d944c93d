"""Whatever stands in a file, reading it gives services or mistakes, and never any other exception."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.model.desired import ServiceDefaults, canonical
from appliance.sources.kubernetes.translate import translate
from appliance.sources.manifest import parse_manifest
from appliance.sources.native import BACKEND_KEYS, SERVICE_KEYS

addresses = st.one_of(
    st.ip_addresses().map(str), st.sampled_from(["10.50.0.1", "10.1.0.1", "10.0.0.0/8", "x", "1:2", ""])
)
numbers = st.one_of(st.sampled_from([0, 1, 80, 443, 65535, 65536]), st.integers())
atoms = st.one_of(st.none(), st.booleans(), numbers, st.floats(), st.text(max_size=8), addresses)
trees = st.recursive(
    atoms,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of the fields, each mostly right and now and then anything."""
    return st.fixed_dictionaries({}, optional={name: st.one_of(good, good, atoms) for name, good in fields.items()})


def many(item: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(item, max_size=3)


names = st.sampled_from(["web", "dns", "a b", ""])
metadata = some(
    name=names,
    namespace=names,
    labels=st.fixed_dictionaries({"kubernetes.io/service-name": names}),
    annotations=st.fixed_dictionaries({"balanced.demonware.net/ipvs-scheduler": names}),
)
port = some(port=numbers, name=names, protocol=st.sampled_from(["TCP", "UDP", "X"]), targetPort=numbers | names)
ips = many(some(ip=addresses))
natives = some(
    **dict.fromkeys(SERVICE_KEYS, trees),
    vips=trees,
) | some(
    vip=addresses,
    ports=many(numbers),
    backends=many(addresses | some(**dict.fromkeys(BACKEND_KEYS, atoms))),
    scheduler=names,
)
services = some(
    metadata=metadata,
    spec=some(type=st.just("LoadBalancer"), ports=many(port), loadBalancerIP=addresses),
    status=some(loadBalancer=some(ingress=ips)),
)
slices = some(
    metadata=metadata,
    addressType=st.sampled_from(["IPv4", "IPv6", "FQDN"]),
    ports=many(port),
    endpoints=many(some(addresses=many(addresses), conditions=some(ready=st.booleans(), terminating=st.booleans()))),
)
classics = some(metadata=metadata, subsets=many(some(addresses=ips, notReadyAddresses=ips, ports=many(port))))


def of_kind(version: str, kind: str, bodies: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return bodies.map(lambda body: {"apiVersion": version, "kind": kind, **body})


objects = st.one_of(
    of_kind("v1", "Service", services),
    of_kind("discovery.k8s.io/v1", "EndpointSlice", slices),
    of_kind("v1", "Endpoints", classics),
)
bundles = st.lists(objects | natives, max_size=4)


def survives(text: str) -> None:
    manifest = parse_manifest("any.yaml", text, ServiceDefaults())
    translation = translate(manifest.objects, ServiceDefaults())
    for service in (*manifest.services, *translation.services):
        assert service.backends == canonical(service.backends)
        assert len({backend.address for backend in service.backends}) == len(service.backends)
        assert 1 <= service.key.port <= 65535
    for problem in (*manifest.mistakes, *translation.problems):
        assert str(problem).startswith("any.yaml:")
        assert str(problem).isprintable()


@given(trees)
def test_any_tree_gives_services_or_mistakes(tree: object) -> None:
    survives(json.dumps(tree))


@given(natives)
def test_any_short_form_gives_services_or_mistakes(tree: object) -> None:
    survives(json.dumps(tree))
    survives(json.dumps({"services": [tree, tree]}))


@given(bundles)
def test_any_kubernetes_like_objects_give_services_or_mistakes(trees: list[object]) -> None:
    survives("\n---\n".join(json.dumps(tree) for tree in trees))
    survives(json.dumps({"apiVersion": "v1", "kind": "List", "items": trees}))


@given(st.text())
def test_any_text_gives_services_or_mistakes(text: str) -> None:
    survives(text)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@ \n,?<~0/.", max_size=60))
def test_any_text_of_yaml_signs_gives_services_or_mistakes(text: str) -> None:
    survives(text)
