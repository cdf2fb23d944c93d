"""Random objects and files, mostly right and now and then anything, over so few names that they meet."""

from typing import Any

from hypothesis import strategies as st

from appliance.sources.kubernetes.annotations import PREFIX, READ
from appliance.sources.native import BACKEND_KEYS, SERVICE_KEYS

HOSTILE = "x\x1b[2J\n;}\u202e" * 40
"""Longer than a message may be, with what would steer a terminal or end a line."""

addresses = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(["10.50.0.1", "10.1.0.1", "10.0.0.0/8", "x", "1:2", "2001:db8::1%\n;", "::ffff:10.50.0.1", ""]),
)
numbers = st.one_of(st.sampled_from([0, 1, 80, 443, 65535, 65536]), st.integers())
atoms = st.one_of(st.none(), st.booleans(), numbers, st.floats(), st.text(max_size=8), st.just(HOSTILE), addresses)
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


names = st.sampled_from(["web", "dns", "a b", "", HOSTILE])
annotation_names = st.sampled_from(READ) | st.sampled_from([f"{PREFIX}{HOSTILE}", "other"])
annotation_values = (
    st.sampled_from(
        [
            "hrw",
            "rr",
            "mh",
            "mh-port",
            "mh-port,",
            "",
            "0",
            "7",
            "-1",
            "1" * 99,
            "all",
            "always",
            "gre",
            "gue:6080",
            "gue:6080,csum",
            "gue:",
        ]
    )
    | st.text(max_size=6).map(str)
    | st.just(HOSTILE)
)
metadata = some(
    name=names,
    namespace=names,
    labels=st.fixed_dictionaries({"kubernetes.io/service-name": names}),
    annotations=st.dictionaries(annotation_names, annotation_values, max_size=4),
)
port = some(port=numbers, name=names, protocol=st.sampled_from(["TCP", "UDP", "X"]), targetPort=numbers | names)
targets = some(kind=st.sampled_from(["Pod", "VirtualMachine", HOSTILE]), name=names)
ips = many(some(ip=addresses, targetRef=targets))
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
    spec=some(
        type=st.just("LoadBalancer"),
        ports=many(port),
        loadBalancerIP=addresses,
        externalIPs=many(addresses),
        loadBalancerSourceRanges=many(addresses),
        sessionAffinity=st.sampled_from(["ClientIP", "None", HOSTILE]),
        sessionAffinityConfig=some(clientIP=some(timeoutSeconds=numbers)),
    ),
    status=some(loadBalancer=some(ingress=many(some(ip=addresses, hostname=names)))),
)
conditions = some(ready=st.booleans(), serving=st.booleans(), terminating=st.booleans())
slices = some(
    metadata=metadata,
    addressType=st.sampled_from(["IPv4", "IPv6", "FQDN"]),
    ports=many(port),
    endpoints=many(some(addresses=many(addresses), conditions=conditions, targetRef=targets)),
)
classics = some(metadata=metadata, subsets=many(some(addresses=ips, notReadyAddresses=ips, ports=many(port))))


def of_kind(version: str, kind: str, bodies: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return bodies.map(lambda body: {"apiVersion": version, "kind": kind, **body})


objects = st.one_of(
    of_kind("v1", "Service", services),
    of_kind("discovery.k8s.io/v1", "EndpointSlice", slices),
    of_kind("v1", "Endpoints", classics),
)
