"""Services as an API server sends them -> what they ask of the allocator. Pure.

Fields: core/v1 Service. Annotations: those of BalanceD, and where a Service has none of them those of MetalLB, so that
its Services can be taken over as they are (docs/allocator.md has the mapping).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from appliance.model.address import Address
from appliance.model.claim import Claim, Want
from appliance.model.pool import AddressRange
from appliance.sources.kubernetes.annotations import PREFIX
from appliance.sources.kubernetes.api import UNREADABLE
from appliance.sources.kubernetes.objects import Metadata, owner_of
from appliance.sources.nodes import shown

METALLB = ("metallb.io/", "metallb.universe.tf/")
IP_POOL = (f"{PREFIX}ip-pool", *(f"{each}address-pool" for each in METALLB))
IP_REQUEST = (f"{PREFIX}ip-request", *(f"{each}loadBalancerIPs" for each in METALLB))
ALLOW_SHARED_IP = (f"{PREFIX}allow-shared-ip", *(f"{each}allow-shared-ip" for each in METALLB))
MAX_REQUESTS = 64
DEFAULT_IP_MODE = "VIP"


class _Part(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Any part of an object: camelCase on the wire."""


class _Meta(_Part, frozen=True):
    name: str
    namespace: str = "default"
    uid: str | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Port(_Part, frozen=True):
    port: int
    protocol: str = "TCP"


class _Spec(_Part, frozen=True):
    type: str | None = None
    ports: tuple[_Port, ...] | None = None
    ip_families: tuple[str, ...] | None = None
    ip_family_policy: str | None = None
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    load_balancer_ip: str | None = msgspec.field(name="loadBalancerIP", default=None)
    load_balancer_class: str | None = None


class _Ingress(_Part, frozen=True):
    ip: str | None = None
    hostname: str | None = None
    ip_mode: str | None = None


class _Balancer(_Part, frozen=True):
    ingress: tuple[_Ingress, ...] | None = None


class _Status(_Part, frozen=True):
    load_balancer: _Balancer | None = None


class _Service(_Part, frozen=True):
    metadata: _Meta
    spec: _Spec = _Spec()
    status: _Status = _Status()


@dataclass(frozen=True, slots=True)
class ClaimedService:
    """A Service that concerns the allocator: its claim, and what names this version of it."""

    claim: Claim
    metadata: Metadata


class ClaimView(Mapping[str, Claim]):
    """A view of Services as their claims, with the labels of their namespaces where these are followed."""

    def __init__(self, services: Mapping[str, ClaimedService], labels: Mapping[str, Mapping[str, str]]) -> None:
        self._services = services
        self._labels = labels

    def __getitem__(self, owner: str) -> Claim:
        claim = self._services[owner].claim
        labels = self._labels.get(claim.namespace)
        return replace(claim, namespace_labels=labels) if labels else claim

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)


def read_service(
    text: bytes | msgspec.Raw, classes: Collection[str], ip_mode: str = DEFAULT_IP_MODE
) -> ClaimedService | None:
    """The Service as a claim; None if it neither wants nor holds an address. ``classes`` are ours, "": without class.

    ``ip_mode`` is the one that its addresses should have. A server that does not know the field is not asked for it.

    Raises:
        ValueError: the object is no Service.
    """
    try:
        service = _SERVICES.decode(text)
    except UNREADABLE as error:
        raise ValueError(str(error)) from None
    meta, spec = service.metadata, service.spec
    ingress = (service.status.load_balancer and service.status.load_balancer.ingress) or ()
    want = _want(meta, spec, classes)
    if want is Want.NOTHING and not ingress:
        return None
    held, unreadable = _addresses(each.ip for each in ingress if each.ip)
    asked = meta.annotations or {}
    requests, no_addresses = _addresses(_requests(asked, spec))
    metadata = Metadata(meta.name, meta.namespace, meta.resource_version, meta.uid, meta.creation_timestamp)
    claim = Claim(
        owner=owner_of(metadata),
        want=want,
        age=meta.creation_timestamp or "",
        labels=meta.labels or {},
        versions=_versions(spec),
        needs_all=spec.ip_family_policy == "RequireDualStack",
        pool=_pool(_first(asked, IP_POOL)),
        requests=requests,
        unreadable=tuple(map(shown, no_addresses)),
        key=_first(asked, ALLOW_SHARED_IP),
        ports=frozenset((each.protocol, each.port) for each in spec.ports or ()),
        held=held,
        has_hostname=bool(unreadable) or any(each.hostname and not each.ip for each in ingress),
        has_other_mode=any(each.ip and each.ip_mode not in {None, ip_mode} for each in ingress),
    )
    return ClaimedService(claim, metadata)


def status_patch(
    service: ClaimedService, addresses: Iterable[Address], ip_mode: str = DEFAULT_IP_MODE
) -> dict[str, Any]:
    """The merge patch of ``status`` by which this very version of the Service holds exactly these addresses.

    ``ip_mode`` VIP is what they are (KEP-1860): packets come with the VIP as destination; with Proxy kube-proxy leaves
    them to the directors all the same. A server that does not know the field (before Kubernetes 1.29) drops it, as it
    does with all that it does not know.
    """
    ingress = [{"ip": str(address), "ipMode": ip_mode} for address in addresses]
    metadata = {"resourceVersion": service.metadata.resource_version, "uid": service.metadata.uid}
    return {
        "metadata": {name: value for name, value in metadata.items() if value},
        "status": {"loadBalancer": {"ingress": ingress or None}},
    }


def _want(meta: _Meta, spec: _Spec, classes: Collection[str]) -> Want:
    if spec.type != "LoadBalancer":
        return Want.NOTHING
    if (spec.load_balancer_class or "") not in classes:
        return Want.FOREIGN
    return Want.KEEP if meta.deletion_timestamp else Want.ADDRESS


def _versions(spec: _Spec) -> tuple[int, ...]:
    """The IP versions that are wanted, the Service's first one first; both with a policy of dual stack."""
    names = {"IPv4": 4, "IPv6": 6}
    found = [names[each] for each in spec.ip_families or () if each in names]
    # Servers before dual stack (1.20 with the gate off) say nothing but the address inside the cluster.
    found = found or [6 if ":" in (spec.cluster_ip or "") else 4]
    if spec.ip_family_policy in {"PreferDualStack", "RequireDualStack"}:
        return tuple(dict.fromkeys([*found, 4, 6]))
    return tuple(dict.fromkeys(found))


def _requests(annotations: Mapping[str, str], spec: _Spec) -> list[str]:
    text = _first(annotations, IP_REQUEST) or (spec.load_balancer_ip or "")
    return [part for part in map(str.strip, text.split(",")) if part][:MAX_REQUESTS]


def _first(annotations: Mapping[str, str], names: Iterable[str]) -> str:
    return next((text for name in names if (text := annotations.get(name, "").strip())), "")


def _pool(text: str) -> str:
    """The name as it is; a network as AddressRange writes it."""
    try:
        return str(AddressRange.of(ip_network(text))) if "/" in text else text
    except ValueError:
        return text


def _addresses(texts: Iterable[str]) -> tuple[tuple[Address, ...], list[str]]:
    """Each once, in their order, and the texts that are none; a zone makes it none."""
    found: dict[Address, None] = {}
    rest = []
    for text in texts:
        try:
            found[ip_address("" if "%" in text else text)] = None
        except ValueError:
            rest.append(text)
    return tuple(found), rest


_SERVICES = msgspec.json.Decoder(_Service)
