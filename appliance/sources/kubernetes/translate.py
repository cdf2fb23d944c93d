"""Services, EndpointSlices and Endpoints -> desired services. Pure: the same for files and for a watched cluster."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from appliance.errors import SourceError
from appliance.model.address import Address
from appliance.model.desired import Backend, DesiredService, Problem, ServiceDefaults, canonical
from appliance.model.service import Protocol, ServiceKey
from appliance.sources.kubernetes.objects import (
    SERVICE_NAME_LABEL,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    Placed,
    Service,
    ServicePort,
    ServiceSpec,
    owner_of,
    vips_of,
)
from appliance.sources.nodes import shown
from appliance.sources.scheduling import parse_scheduler, usual_flags

SCHEDULER_ANNOTATION = "balanced.demonware.net/ipvs-scheduler"

_SAME_PORT = "make targetPort equal to port, and let the pods listen there; direct server return rewrites no ports"


@dataclass(frozen=True, slots=True)
class Translation:
    """What a set of objects asks for, in the order of its Services; refused parts are problems, the rest stands."""

    services: tuple[DesiredService, ...] = ()
    problems: tuple[Problem, ...] = ()


class _Group(NamedTuple):
    """Backends that share a set of ports. ``version`` is their IP version, 0 where both may occur."""

    name: str
    version: int
    ports: tuple[EndpointPort, ...]
    backends: tuple[Backend, ...]


def translate(objects: Iterable[Placed], defaults: ServiceDefaults) -> Translation:
    """Desired services of every Service of type LoadBalancer; slices go before Endpoints where a Service has both."""
    services: list[Placed] = []
    slices: dict[str, list[_Group]] = {}
    subsets: dict[str, list[_Group]] = {}
    for placed in objects:
        match placed.value:
            case EndpointSlice() as value:
                name = (value.metadata.labels or {}).get(SERVICE_NAME_LABEL)
                if name and value.address_type != "FQDN":
                    slices.setdefault(f"{value.metadata.namespace or 'default'}/{name}", []).append(_of_slice(value))
            case Endpoints() as value:
                subsets.setdefault(owner_of(value.metadata), []).extend(_of_endpoints(value))
            case Service():
                services.append(placed)
    wanted: list[DesiredService] = []
    problems: list[Problem] = []
    for placed in services:
        owner = owner_of(placed.value.metadata)
        groups = slices.get(owner) or subsets.get(owner) or []
        _translate_service(placed, tuple(groups), defaults, wanted, problems)
    return Translation(tuple(wanted), tuple(problems))


def _translate_service(
    placed: Placed,
    groups: tuple[_Group, ...],
    defaults: ServiceDefaults,
    wanted: list[DesiredService],
    problems: list[Problem],
) -> None:
    service = placed.value
    if not isinstance(service, Service):
        return
    spec = service.spec or ServiceSpec()
    if spec.type != "LoadBalancer":
        return
    owner = owner_of(service.metadata)
    where = f"{placed.origin}: service {owner}" if placed.origin else f"service {owner}"
    vips = dict.fromkeys(ip_address(text) for _, text in vips_of(service))
    if not vips:
        remedy = "write status.loadBalancer.ingress[].ip or spec.loadBalancerIP"
        problems.append(Problem(where, "has no VIP", remedy))
    scheduler = _scheduler(service, defaults, where, problems)
    for port in spec.ports or ():
        refusal = _refusal(port, groups)
        if refusal:
            problems.append(Problem(f"{where}: port {port.port}", refusal, _SAME_PORT))
            continue
        for vip in vips:
            wanted.append(  # noqa: PERF401 - a comprehension of this size reads worse
                DesiredService(
                    key=ServiceKey(vip, Protocol[port.protocol or "TCP"], port.port),
                    owner=owner,
                    scheduler=scheduler,
                    flags=usual_flags(scheduler, defaults),
                    tunnel=defaults.tunnel,
                    backends=_backends(vip, port, groups),
                    origin=placed.origin,
                )
            )


def _scheduler(service: Service, defaults: ServiceDefaults, where: str, problems: list[Problem]) -> str:
    """The scheduler that the annotation names. One that is not known falls back to the default, as it always did."""
    text = (service.metadata.annotations or {}).get(SCHEDULER_ANNOTATION)
    if text is None:
        return defaults.scheduler
    try:
        return parse_scheduler("mh" if text == "hrw" else text)
    except SourceError as error:
        problems.append(
            Problem(f"{where}: {SCHEDULER_ANNOTATION}", f"{error.message}, the default is used", error.hint)
        )
        return defaults.scheduler


def _refusal(port: ServicePort, groups: tuple[_Group, ...]) -> str:
    """Why a port cannot be served without rewriting it; empty when it can."""
    if isinstance(port.target_port, int) and port.target_port != port.port:
        return f"targetPort {port.target_port} differs from port {port.port}"
    listed = [number for group in groups for number in _numbers(port, group)]
    if listed and port.port not in listed:
        target = f"targetPort {shown(port.target_port)}" if isinstance(port.target_port, str) else "the endpoints' port"
        return f"{target} is {listed[0]}, which differs from port {port.port}"
    return ""


def _numbers(port: ServicePort, group: _Group) -> Iterator[int]:
    """The port numbers that a group lists for the Service's port, matched by name and protocol as kube-proxy does."""
    wanted = (port.name or "", port.protocol or "TCP")
    return (one.port for one in group.ports if one.port and (one.name or "", one.protocol or "TCP") == wanted)


def _backends(vip: Address, port: ServicePort, groups: tuple[_Group, ...]) -> tuple[Backend, ...]:
    """The backends that serve the port, each once; ready if any group says so.

    A dual-stack Service has one slice per family for the same pods: a VIP takes those of its own family. Only where
    there is no such slice does it take the other family's, which the tunnel carries as well.
    """
    own = any(group.version == vip.version for group in groups)
    chosen: dict[Address, Backend] = {}
    for group in groups:
        if (own and group.version not in {vip.version, 0}) or port.port not in _numbers(port, group):
            continue
        for backend in group.backends:
            if backend.address not in chosen or backend.ready:
                chosen[backend.address] = backend
    return canonical(chosen.values())


def _of_slice(value: EndpointSlice) -> _Group:
    backends: list[Backend] = []
    for endpoint in value.endpoints or ():
        conditions = endpoint.conditions
        ready = conditions is None or (conditions.ready is not False and not conditions.terminating)
        backends.extend(Backend(ip_address(text), ready=ready) for text in (endpoint.addresses or ())[:1])
    version = 4 if value.address_type == "IPv4" else 6
    return _Group(value.metadata.name, version, value.ports or (), tuple(backends))


def _of_endpoints(value: Endpoints) -> Iterator[_Group]:
    for subset in value.subsets or ():
        ready = tuple(Backend(ip_address(one.ip)) for one in subset.addresses or ())
        rest = tuple(Backend(ip_address(one.ip), ready=False) for one in subset.not_ready_addresses or ())
        yield _Group(value.metadata.name, 0, subset.ports or (), ready + rest)
