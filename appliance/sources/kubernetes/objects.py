"""The Kubernetes objects we read, with only the fields we use.

Field names and meanings: the API references of core/v1 and discovery.k8s.io/v1. Unknown fields are ignored, as an API
server's clients must; a field of a wrong type, or an address that is none, spoils its object.
"""

import enum
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

SERVICE_NAME_LABEL = "kubernetes.io/service-name"

PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]
ProtocolName = Literal["TCP", "UDP", "SCTP"]


class _Object(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Any part of an object: frozen, camelCase on the wire. No part holds itself, so the collector need not look."""


class Identity(_Object, frozen=True):
    """Which object it is, and in which version."""

    name: str
    namespace: str | None = None
    resource_version: str | None = None


class Metadata(Identity, frozen=True):
    """Who a Service is. ``creation_timestamp`` is RFC 3339 in UTC, so that text order is the order of time."""

    uid: str | None = None
    creation_timestamp: str | None = None
    annotations: dict[str, str] | None = None


class ServicePort(_Object, frozen=True):
    """One port of a Service; no ``target_port`` means the same port."""

    port: PortNumber
    name: str | None = None
    protocol: ProtocolName | None = None
    target_port: PortNumber | str | None = None


class ClientAffinity(_Object, frozen=True):
    """For how long a client address keeps its backend; the API server's default is 10800 s."""

    timeout_seconds: Annotated[int, msgspec.Meta(ge=1, le=86400)] | None = None


class AffinityConfig(_Object, frozen=True):
    """Options of a session affinity."""

    client_ip: ClientAffinity | None = msgspec.field(name="clientIP", default=None)


class ServiceSpec(_Object, frozen=True):
    """What a Service wants.

    ``externalIPs`` is not among the fields: whoever may write a Service may write any address there (CVE-2020-8554).
    """

    type: str | None = None
    ports: tuple[ServicePort, ...] | None = None
    load_balancer_ip: str | None = msgspec.field(name="loadBalancerIP", default=None)
    load_balancer_class: str | None = None
    load_balancer_source_ranges: tuple[str, ...] | None = None
    session_affinity: Literal["None", "ClientIP"] | None = None
    session_affinity_config: AffinityConfig | None = None


class IpMode(enum.Enum):
    """Whether kube-proxy takes packets for an address itself (VIP, and whatever else is not PROXY), as KEP-1860 has it.

    One object for all that are read, unlike a text.
    """

    VIP = "VIP"
    PROXY = "Proxy"

    @classmethod
    def _missing_(cls, value: object) -> "IpMode | None":
        return cls.VIP if isinstance(value, str) else None


class Ingress(_Object, frozen=True):
    """One address that was given to a Service, or the name of a host that nobody here can announce."""

    ip: str | None = None
    hostname: str | None = None
    ip_mode: IpMode | None = None


class LoadBalancer(_Object, frozen=True):
    """The addresses that were given to a Service."""

    ingress: tuple[Ingress, ...] | None = None


class ServiceStatus(_Object, frozen=True):
    """What a Service was given."""

    load_balancer: LoadBalancer | None = None


class Service(_Object, frozen=True):
    """core/v1 Service."""

    metadata: Metadata
    spec: ServiceSpec | None = None
    status: ServiceStatus | None = None


class EndpointPort(_Object, frozen=True):
    """A port of a slice or a subset; its name is the name of the Service's port."""

    port: PortNumber | None = None
    name: str | None = None
    protocol: ProtocolName | None = None


class Conditions(_Object, frozen=True):
    """State of an endpoint (discovery/v1, EndpointConditions).

    ``ready`` unset means ready, ``serving`` unset means whatever ``ready`` means, ``terminating`` unset means no.
    """

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class TargetKind(enum.Enum):
    """What stands behind an endpoint: a pod, or anything else. One object for all that are read, unlike a text."""

    POD = "Pod"
    OTHER = ""

    @classmethod
    def _missing_(cls, value: object) -> "TargetKind | None":
        return cls.OTHER if isinstance(value, str) else None


class Target(_Object, frozen=True):
    """The object behind an endpoint (core/v1, ObjectReference)."""

    kind: TargetKind | None = None
    name: str | None = None


class Endpoint(_Object, frozen=True):
    """One endpoint. Its addresses are interchangeable, and since Kubernetes 1.31 consumers read the first alone."""

    addresses: tuple[str, ...] | None = None
    conditions: Conditions | None = None
    target_ref: Target | None = None


class SliceLabels(_Object, frozen=True):
    """The label of a slice that names its Service; all others are of no use here."""

    service: str | None = msgspec.field(name=SERVICE_NAME_LABEL, default=None)


class SliceMetadata(Identity, frozen=True):
    """Which slice it is, and of which Service."""

    labels: SliceLabels | None = None


class EndpointSlice(_Object, frozen=True):
    """discovery.k8s.io/v1 EndpointSlice."""

    metadata: SliceMetadata
    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


class EndpointAddress(_Object, frozen=True):
    """One address of a subset."""

    ip: str
    target_ref: Target | None = None


class Subset(_Object, frozen=True):
    """Addresses that share a set of ports."""

    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


class Endpoints(_Object, frozen=True):
    """core/v1 Endpoints."""

    metadata: Identity
    subsets: tuple[Subset, ...] | None = None


KubernetesObject = Service | EndpointSlice | Endpoints

KINDS: dict[tuple[str, str], type[KubernetesObject]] = {
    ("v1", "Service"): Service,
    ("v1", "Endpoints"): Endpoints,
    ("discovery.k8s.io/v1", "EndpointSlice"): EndpointSlice,
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): EndpointSlice,
}
"""apiVersion and kind of everything that is read; all other kinds are none of our business."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An object and where it is written (``web.yaml:12``; empty for one from an API server)."""

    value: KubernetesObject
    origin: str = ""


def owner_of(metadata: Identity) -> str:
    """``namespace/name``."""
    return f"{metadata.namespace or 'default'}/{metadata.name}"


def service_of(value: KubernetesObject) -> str:
    """The name of the Service that the object belongs to; empty for a slice of something else."""
    if not isinstance(value, EndpointSlice):
        return value.metadata.name
    return (value.metadata.labels and value.metadata.labels.service) or ""


def vips_of(service: Service, *, requested: bool) -> tuple[tuple[str, str], ...]:
    """Path and text of every VIP: those of the status; none for other types than LoadBalancer.

    With ``requested`` also the one that the spec asks for, where the status has none.
    """
    spec = service.spec or ServiceSpec()
    if spec.type != "LoadBalancer":
        return ()
    path = "status.loadBalancer.ingress[{}].ip"
    given = tuple((path.format(index), one.ip) for index, one in enumerate(ingress_of(service)) if one.ip)
    asked = (("spec.loadBalancerIP", spec.load_balancer_ip),) if requested and spec.load_balancer_ip else ()
    return given or asked


def ingress_of(service: Service) -> tuple[Ingress, ...]:
    """What the Service was given."""
    balancer = (service.status and service.status.load_balancer) or LoadBalancer()
    return balancer.ingress or ()
