"""A Service as the API server sends it -> what it asks of the allocator."""

import json
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from appliance.model.claim import Claim, Want
from appliance.sources.kubernetes.claims import read_service, status_patch

OURS = "balanced.demonware.net/"


def read(
    spec: dict[str, Any] | None = None,
    ingress: object = None,
    classes: object = ("",),
    ip_mode: str = "VIP",
    **meta: Any,
) -> Claim | None:
    found = read_service(
        json.dumps(
            {
                "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7", "uid": "u", **meta},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], **(spec or {})},
                "status": {"loadBalancer": {"ingress": ingress} if ingress else {}},
            }
        ).encode(),
        classes,  # type: ignore[arg-type]  # a tuple of names
        ip_mode,
    )
    return found.claim if found else None


PLAIN = Claim("shop/web", ports=frozenset({("TCP", 80)}))
HOLDS = replace(PLAIN, held=(ip_address("10.0.0.1"),))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, PLAIN, id="nothing said"),
        pytest.param({"spec": {"type": "ClusterIP"}}, None, id="another type, no address: none of our business"),
        pytest.param(
            {"spec": {"type": "ClusterIP"}, "ingress": [{"ip": "10.0.0.1"}]},
            replace(PLAIN, want=Want.NOTHING, held=(ip_address("10.0.0.1"),)),
            id="another type that still holds one",
        ),
        pytest.param({"spec": {"loadBalancerClass": "x"}}, replace(PLAIN, want=Want.FOREIGN), id="another class"),
        pytest.param({"spec": {"loadBalancerClass": "x"}, "classes": ("x",)}, PLAIN, id="a class that is ours"),
        pytest.param({"classes": ("x",)}, replace(PLAIN, want=Want.FOREIGN), id="no class where ours have one"),
        pytest.param({"deletionTimestamp": "2026"}, replace(PLAIN, want=Want.KEEP), id="on its way out"),
        pytest.param({"spec": {"clusterIP": "fd00::1"}}, replace(PLAIN, versions=(6,)), id="family by the cluster IP"),
        pytest.param({"spec": {"ipFamilies": ["IPv6"]}}, replace(PLAIN, versions=(6,)), id="single stack"),
        pytest.param(
            {"spec": {"ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "RequireDualStack"}},
            replace(PLAIN, versions=(6, 4), needs_all=True),
            id="require dual stack",
        ),
        pytest.param(
            {"spec": {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "PreferDualStack"}},
            replace(PLAIN, versions=(4, 6)),
            id="prefer dual stack on a cluster of one family",
        ),
        pytest.param({"annotations": {f"{OURS}ip-pool": "public"}}, replace(PLAIN, pool="public"), id="pool"),
        pytest.param(
            {"annotations": {f"{OURS}ip-request": "10.0.0.1, nonsense,10.0.0.2,fe80::1%eth0"}},
            replace(
                PLAIN,
                requests=(ip_address("10.0.0.1"), ip_address("10.0.0.2")),
                unreadable=("nonsense", "fe80::1%eth0"),
            ),
            id="requests in their order, and what is no address",
        ),
        pytest.param(
            {"spec": {"loadBalancerIP": "10.0.0.1"}},
            replace(PLAIN, requests=(ip_address("10.0.0.1"),)),
            id="in the spec",
        ),
        pytest.param(
            {"annotations": {"metallb.io/address-pool": "p", "metallb.universe.tf/allow-shared-ip": "k"}},
            replace(PLAIN, pool="p", key="k"),
            id="those of MetalLB",
        ),
        pytest.param(
            {"annotations": {"metallb.io/address-pool": "p", f"{OURS}ip-pool": "q"}},
            replace(PLAIN, pool="q"),
            id="ours go before those of MetalLB",
        ),
        pytest.param({"ingress": [{"hostname": "a"}]}, replace(PLAIN, has_hostname=True), id="a host name"),
        pytest.param(
            {"ingress": [{"ip": "10.0.0.1", "ipMode": "Proxy"}]},
            replace(HOLDS, has_other_mode=True),
            id="another ipMode",
        ),
        pytest.param(
            {"ingress": [{"ip": "10.0.0.1", "ipMode": "Proxy"}], "ip_mode": "Proxy"},
            HOLDS,
            id="the ipMode that is wanted",
        ),
        pytest.param(
            {"ingress": [{"ip": "10.0.0.1"}], "ip_mode": "Proxy"}, HOLDS, id="no ipMode: the server does not know it"
        ),
    ],
)
def test_a_service_asks(given: dict[str, Any], expected: Claim | None) -> None:
    assert read(**given) == expected


def test_what_is_no_service_is_an_error() -> None:
    with pytest.raises(ValueError, match="object"):
        read_service(b"[]", ("",))


def test_a_status_is_written_for_the_very_version_that_was_read() -> None:
    service = read_service(
        b'{"metadata": {"name": "a", "resourceVersion": "7", "uid": "u"}, "spec": {"type": "LoadBalancer"}}', ("",)
    )
    assert service is not None
    assert status_patch(service, [ip_address("10.0.0.1")]) == {
        "metadata": {"resourceVersion": "7", "uid": "u"},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ipMode": "VIP"}]}},
    }
    assert status_patch(service, [])["status"] == {"loadBalancer": {"ingress": None}}
    by_proxy = status_patch(service, [ip_address("10.0.0.1")], "Proxy")
    assert by_proxy["status"]["loadBalancer"]["ingress"] == [{"ip": "10.0.0.1", "ipMode": "Proxy"}]
