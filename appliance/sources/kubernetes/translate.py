"""Services, EndpointSlices and Endpoints -> desired services. Pure: the same for files and for a watched cluster."""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import NamedTuple

from appliance.model.address import Address, canonical_networks
from appliance.model.desired import Backend, DesiredService, Note, Problem, Remark, ServiceDefaults, canonical
from appliance.model.service import Protocol, ServiceFlag, ServiceKey
from appliance.sources.addresses import parse_source_range
from appliance.sources.kubernetes.annotations import SCHEDULER_FLAGS, Terms, read_terms
from appliance.sources.kubernetes.objects import (
    Conditions,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    IpMode,
    Placed,
    Service,
    ServicePort,
    ServiceSpec,
    Target,
    TargetKind,
    ingress_of,
    owner_of,
    service_of,
    vips_of,
)
from appliance.sources.nodes import shown
from appliance.sources.scheduling import with_affinity

DEFAULT_AFFINITY_S = 10800
"""Timeout of a session affinity that names none (core/v1, ClientIPConfig)."""

_NO_TARGET = Target()
_SAME_PORT = "make targetPort equal to port, and let the pods listen there; direct server return rewrites no ports"


@dataclass(frozen=True, slots=True)
class Translation:
    """What a set of objects asks for, in the order of its Services.

    Refused parts are problems, the rest stands. Notes are about what was taken otherwise than it is written.
    """

    services: tuple[DesiredService, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()


class _State(enum.IntEnum):
    """How fit an endpoint is for new connections, the fittest last."""

    UNREADY = 0
    LEAVING = 1
    READY = 2


class _Endpoint(NamedTuple):
    """One address, how fit it is, and what stands behind it."""

    address: Address
    state: _State
    target: Target | None


class _Group(NamedTuple):
    """Endpoints that share a set of ports. ``version`` is their IP version, 0 where both may occur."""

    version: int
    ports: tuple[EndpointPort, ...]
    endpoints: tuple[_Endpoint, ...]


def translate(objects: Iterable[Placed], defaults: ServiceDefaults, *, from_files: bool = False) -> Translation:
    """Desired services of every Service of type LoadBalancer; slices go before Endpoints where a Service has both.

    Objects ``from_files`` are the operator's own, so that their ``spec.loadBalancerIP`` counts where the status has no
    address. In a cluster anybody who may write a Service can write it, the status only who assigns the addresses.
    """
    services: list[tuple[Service, str]] = []
    slices: dict[str, list[_Group]] = {}
    subsets: dict[str, list[_Group]] = {}
    for placed in objects:
        match placed.value:
            case EndpointSlice() as value:
                name = service_of(value)
                if name and value.address_type != "FQDN":
                    slices.setdefault(f"{value.metadata.namespace or 'default'}/{name}", []).append(_of_slice(value))
            case Endpoints() as value:
                subsets.setdefault(owner_of(value.metadata), []).extend(_of_endpoints(value))
            case Service() as value:
                services.append((value, placed.origin))
    parts = []
    for service, origin in services:
        owner = owner_of(service.metadata)
        groups = slices.get(owner) or subsets.get(owner) or []
        parts.append(_translate_service(service, origin, groups, defaults, from_files=from_files))
    return Translation(
        tuple(each for part in parts for each in part.services),
        tuple(each for part in parts for each in part.problems),
        tuple(each for part in parts for each in part.notes),
    )


def _translate_service(
    service: Service, origin: str, groups: list[_Group], defaults: ServiceDefaults, *, from_files: bool
) -> Translation:
    spec = service.spec or ServiceSpec()
    if spec.type != "LoadBalancer":
        return Translation()
    owner = owner_of(service.metadata)
    where = f"{origin}: service {owner}" if origin else f"service {owner}"
    vips = dict.fromkeys(ip_address(text) for _, text in vips_of(service, requested=from_files))
    proxied = _proxied(service)
    terms = read_terms(service.metadata.annotations or {}, where, owner, defaults)
    flags, persistence_s = terms.flags, 0
    if spec.session_affinity == "ClientIP":
        flags, persistence_s = with_affinity(terms.scheduler, flags, _affinity_s(spec))
    ranges = canonical_networks(map(parse_source_range, spec.load_balancer_source_ranges or ()))
    remarks = [*terms.remarks, *_left_out(service, terms, flags, where)]
    if not vips:
        remarks.append(_without_vip(service, where, from_files=from_files))
    wanted: list[DesiredService] = []
    for port in spec.ports or ():
        refusal = _refusal(port, groups)
        if refusal:
            remarks.append(Problem(f"{where}: port {port.port}", refusal, _SAME_PORT, owner))
            continue
        wanted.extend(
            DesiredService(
                key=ServiceKey(vip, Protocol[port.protocol or "TCP"], port.port),
                owner=owner,
                scheduler=terms.scheduler,
                flags=flags,
                tunnel=terms.tunnel,
                backends=_backends(vip, port, groups, terms.weight),
                persistence_s=persistence_s,
                announce=terms.announce,
                drain_s=terms.drain_s,
                source_ranges=ranges,
                new_flows_per_s=terms.new_flows_per_s,
                # What a file says no kube-proxy knows of.
                kube_proxy_too=not from_files and vip not in proxied,
                origin=origin,
            )
            for vip in vips
        )
    remarks = [replace(each, in_cluster=not from_files) for each in remarks]
    return Translation(
        tuple(wanted),
        tuple(each for each in remarks if isinstance(each, Problem)),
        tuple(each for each in remarks if isinstance(each, Note)),
    )


def _proxied(service: Service) -> frozenset[Address]:
    """The addresses whose packets kube-proxy leaves to whoever has them."""
    return frozenset(ip_address(one.ip) for one in ingress_of(service) if one.ip and one.ip_mode is IpMode.PROXY)


def _affinity_s(spec: ServiceSpec) -> int:
    config = spec.session_affinity_config and spec.session_affinity_config.client_ip
    return (config and config.timeout_seconds) or DEFAULT_AFFINITY_S


def _left_out(service: Service, terms: Terms, flags: ServiceFlag, where: str) -> Iterator[Note]:
    """What is said where a flag was asked for by name that a session affinity has no use for."""
    if terms.flags & ~flags and SCHEDULER_FLAGS in (service.metadata.annotations or {}):
        flag = f"{terms.scheduler}-port"
        what = f"{flag} is left out, for sessionAffinity is ClientIP"
        yield Note(f"{where}: {SCHEDULER_FLAGS}", what, f"remove {flag} or sessionAffinity", owner_of(service.metadata))


def _without_vip(service: Service, where: str, *, from_files: bool) -> Remark:
    """A Service that has no address is refused, unless it only waits for the one who assigns the addresses."""
    owner = owner_of(service.metadata)
    if from_files:
        return Problem(where, "has no VIP", "write status.loadBalancer.ingress[].ip or spec.loadBalancerIP", owner)
    if ingress_of(service):
        return Problem(where, "has no VIP, only a host name", "have an IP address assigned to it", owner)
    return Note(where, "has no VIP yet", "see what assigns addresses to Services in this cluster", owner)


def _refusal(port: ServicePort, groups: list[_Group]) -> str:
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


def _backends(vip: Address, port: ServicePort, groups: list[_Group], weight: int) -> tuple[Backend, ...]:
    """The backends that serve the port, each once, as fit as its fittest group says.

    A dual-stack Service has one slice per family for the same pods: a VIP takes those of its own family. Only where
    there is no such slice does it take the other family's, which the tunnel carries as well.

    Where none is ready, those that are terminating and still serve go on serving, as with kube-proxy (KEP-1669).
    """
    own = any(group.version == vip.version for group in groups)
    found: dict[Address, _Endpoint] = {}
    for group in groups:
        if (own and group.version not in {vip.version, 0}) or port.port not in _numbers(port, group):
            continue
        for endpoint in group.endpoints:
            known = found.get(endpoint.address)
            if known is None or endpoint.state > known.state:
                found[endpoint.address] = endpoint
    least = _State.READY if any(each.state is _State.READY for each in found.values()) else _State.LEAVING
    return canonical(_backend(each, weight, ready=each.state >= least) for each in found.values())


def _backend(endpoint: _Endpoint, weight: int, *, ready: bool) -> Backend:
    target = endpoint.target or _NO_TARGET
    return Backend(endpoint.address, weight, ready, target.name or "", target.kind is TargetKind.POD)


def _of_slice(value: EndpointSlice) -> _Group:
    endpoints = tuple(
        _Endpoint(ip_address(text), _state(endpoint.conditions), endpoint.target_ref)
        for endpoint in value.endpoints or ()
        for text in (endpoint.addresses or ())[:1]
    )
    return _Group(4 if value.address_type == "IPv4" else 6, value.ports or (), endpoints)


def _state(conditions: Conditions | None) -> _State:
    if conditions is None:
        return _State.READY
    ready = conditions.ready is not False
    if not conditions.terminating:
        return _State.READY if ready else _State.UNREADY
    serving = ready if conditions.serving is None else conditions.serving
    return _State.LEAVING if serving else _State.UNREADY


def _of_endpoints(value: Endpoints) -> Iterator[_Group]:
    for subset in value.subsets or ():
        ready = ((one, _State.READY) for one in subset.addresses or ())
        rest = ((one, _State.UNREADY) for one in subset.not_ready_addresses or ())
        endpoints = tuple(_Endpoint(ip_address(one.ip), state, one.target_ref) for one, state in (*ready, *rest))
        yield _Group(0, subset.ports or (), endpoints)
