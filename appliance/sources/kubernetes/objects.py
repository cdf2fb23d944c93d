"""The Kubernetes objects we read, with only the fields we use.

Field names and meanings: the API references of core/v1 and discovery.k8s.io/v1. Unknown fields are ignored, as an API
server's clients must; a field of a wrong type, or an address that is none, spoils its object.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from appliance.errors import SourceError
from appliance.sources.addresses import parse_backend, parse_vip
from appliance.sources.nodes import shown

SERVICE_NAME_LABEL = "kubernetes.io/service-name"

PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]
ProtocolName = Literal["TCP", "UDP", "SCTP"]

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_MSGSPEC_PATH = re.compile(r"(?P<what>.*) - at (?:key in )?`\$\.?(?P<path>.*)`", re.DOTALL)
# The only message that quotes the input, as it is and of whatever length.
_MSGSPEC_QUOTING = "Invalid enum value"


class _Object(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Any part of an object: frozen, camelCase on the wire. No part holds itself, so the collector need not look."""


class Metadata(_Object, frozen=True):
    """Who an object is. ``creation_timestamp`` is RFC 3339 in UTC, so that text order is the order of time."""

    name: str
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    labels: dict[str, str] | None = None
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
    session_affinity: Literal["None", "ClientIP"] | None = None
    session_affinity_config: AffinityConfig | None = None


class Ingress(_Object, frozen=True):
    """One address that was given to a Service, or the name of a host that nobody here can announce."""

    ip: str | None = None
    hostname: str | None = None


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


class Endpoint(_Object, frozen=True):
    """One endpoint. Its addresses are interchangeable, and since Kubernetes 1.31 consumers read the first alone."""

    addresses: tuple[str, ...] | None = None
    conditions: Conditions | None = None


class EndpointSlice(_Object, frozen=True):
    """discovery.k8s.io/v1 EndpointSlice."""

    metadata: Metadata
    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


class EndpointAddress(_Object, frozen=True):
    """One address of a subset."""

    ip: str


class Subset(_Object, frozen=True):
    """Addresses that share a set of ports."""

    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


class Endpoints(_Object, frozen=True):
    """core/v1 Endpoints."""

    metadata: Metadata
    subsets: tuple[Subset, ...] | None = None


KubernetesObject = Service | EndpointSlice | Endpoints
K = TypeVar("K", bound=KubernetesObject)

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


class Malformed(SourceError):
    """An object is not what its kind says. ``path`` names the field: ``spec.ports[0].port``."""

    def __init__(self, path: str, what: str, remedy: str) -> None:
        super().__init__(what, hint=remedy)
        self.path = path


def decode_json(kind: type[K], text: bytes | msgspec.Raw) -> K:
    """One object as the API server sends it; only the fields in use are ever built.

    Raises:
        Malformed: as in decode, or the text is no JSON.
    """
    try:
        try:
            return _checked(msgspec.json.decode(text, type=kind))
        except msgspec.ValidationError:
            return decode(kind, msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("", f"not JSON: {error}", "see what stands between here and the API server") from None


def decode(kind: type[K], tree: object) -> K:
    """Plain data (dicts, lists, strings, numbers) as an object of that kind.

    Raises:
        Malformed: the first field of a wrong type, or the first name or address that is none.
    """
    try:
        value = msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        match = _MSGSPEC_PATH.fullmatch(str(error))
        what, path = (match["what"], match["path"]) if match else (str(error), "")
        what = _MSGSPEC_QUOTING if what.startswith(_MSGSPEC_QUOTING) else what
        remedy = f"see {kind.__name__} in the Kubernetes API reference"
        raise Malformed(path, f"{_shown_at(tree, path)}: {what}", remedy) from None
    return _checked(value)


def _checked(value: K) -> K:
    """The object, if also what the types alone do not say holds: names are names, and addresses are addresses."""
    _check_names(value.metadata)
    for path, text in _addresses(value):
        try:
            (parse_vip if isinstance(value, Service) else parse_backend)(text)
        except SourceError as error:
            raise Malformed(path, error.message, error.hint) from None
    return value


def steps(path: str) -> Iterator[str | int]:
    """Keys and indices of a path such as ``spec.ports[0].port``."""
    return (int(index) if index else key for index, key in _STEP.findall(path))


def _shown_at(tree: Any, path: str) -> str:
    """The value at the path, for a message; the last one on the way where the path cannot be followed."""
    for step in steps(path):
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            break
    if isinstance(tree, dict | list):
        return "a mapping" if isinstance(tree, dict) else "a list"
    return shown(str(tree))


def owner_of(metadata: Metadata) -> str:
    """``namespace/name``."""
    return f"{metadata.namespace or 'default'}/{metadata.name}"


def _check_names(metadata: Metadata) -> None:
    for path, text in (("metadata.name", metadata.name), ("metadata.namespace", metadata.namespace)):
        if text and not _NAME.fullmatch(text):
            raise Malformed(path, f"{shown(text)} is not a name", "write letters, digits, dots and dashes only")
    if not metadata.name:
        raise Malformed("metadata.name", "empty", "give the object a name")


def _addresses(value: KubernetesObject) -> Iterator[tuple[str, str]]:
    if isinstance(value, Service):
        yield from vips_of(value, requested=True)
    elif isinstance(value, Endpoints):
        for index, subset in enumerate(value.subsets or ()):
            path = f"subsets[{index}]"
            yield from _numbered(f"{path}.addresses", (one.ip for one in subset.addresses or ()))
            yield from _numbered(f"{path}.notReadyAddresses", (one.ip for one in subset.not_ready_addresses or ()))
    elif value.address_type != "FQDN":
        for index, endpoint in enumerate(value.endpoints or ()):
            for number, text in enumerate(endpoint.addresses or ()):
                yield f"endpoints[{index}].addresses[{number}]", text


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


def _numbered(path: str, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((f"{path}[{index}]", text) for index, text in enumerate(texts))
