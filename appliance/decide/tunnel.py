"""Which of this node's pods answer for which VIPs. Pure: services and pods in, one decision a pod out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from appliance.model.address import Address, Network
from appliance.model.desired import DesiredService
from appliance.model.pod import Pod, PodKey
from appliance.model.service import TunnelType
from appliance.model.tunnel import Listener, TunnelVip, TunnelWant

_TAKEN_APART = frozenset({TunnelType.IPIP, TunnelType.GUE})


_NOTHING = TunnelWant()


@dataclass(frozen=True, slots=True)
class Decision:
    """What one pod is to get. ``owners`` are the Services behind it, ``refused`` says why it gets no more."""

    want: TunnelWant = _NOTHING
    owners: frozenset[str] = frozenset()
    refused: tuple[str, ...] = ()


@dataclass(slots=True)
class _Claims:
    """What is collected for one pod."""

    overheads: dict[Address, int] = field(default_factory=dict)
    listeners: set[Listener] = field(default_factory=set)
    owners: set[str] = field(default_factory=set)
    refused: dict[str, None] = field(default_factory=dict)


def decide(
    services: Iterable[DesiredService],
    pods: Mapping[PodKey, Pod],
    *,
    owned: Callable[[Address], bool],
    directors: tuple[Network, ...] | None,
) -> dict[PodKey, Decision]:
    """For each pod that a service names as a backend, what it is to get; pods that no service names are left out."""
    found: dict[PodKey, _Claims] = {}
    for service in services:
        namespace = service.owner.partition("/")[0]
        for backend in service.backends:
            pod = pods.get(PodKey(namespace, backend.target)) if backend.is_pod else None
            if pod is not None:
                _claim(found.setdefault(pod.key, _Claims()), pod, service, backend.address, owned)
    return {key: _decision(claims, directors) for key, claims in found.items()}


def _claim(
    claims: _Claims, pod: Pod, service: DesiredService, address: Address, owned: Callable[[Address], bool]
) -> None:
    vip = service.key.vip
    reason = _refusal(pod, service, address, owned)
    if reason:
        claims.refused[f"Service {service.owner} wants {vip} here: {reason}"] = None
        return
    overhead_bytes = service.tunnel.header_bytes(address.version)
    claims.owners.add(service.owner)
    claims.overheads[vip] = max(overhead_bytes, claims.overheads.get(vip, 0))
    if service.tunnel.type is TunnelType.GUE:
        claims.listeners.add(Listener(address.version, service.tunnel.port))


def _refusal(pod: Pod, service: DesiredService, address: Address, owned: Callable[[Address], bool]) -> str:
    """Why the pod cannot answer for the service's VIP; empty where it can."""
    vip = service.key.vip
    if pod.host_network:
        return "the pod uses the node's own network, where a VIP would be the whole node's"
    if pod.ignored_by:
        return f"the pod's annotation {pod.ignored_by} says to leave it alone"
    if not owned(vip):
        return "that is in no pool of this node's configuration"
    if service.tunnel.type not in _TAKEN_APART:
        return f"nothing here takes {service.tunnel.type.name} apart; use ipip or gue"
    if vip.version != address.version:
        return f"its tunnel would be IPv{address.version}, and only tunnels of the VIP's own IP version are set up"
    return ""


def _decision(claims: _Claims, directors: tuple[Network, ...] | None) -> Decision:
    vips = frozenset(TunnelVip(vip, overhead_bytes) for vip, overhead_bytes in claims.overheads.items())
    want = TunnelWant(vips, frozenset(claims.listeners), directors) if vips else _NOTHING
    return Decision(want, frozenset(claims.owners), tuple(claims.refused))
