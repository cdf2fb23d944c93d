"""What `balanced status` shows, as one value: worked out from the director's memory, changing nothing."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from appliance.decide.gate import GateState, recent_repairs
from appliance.director import guarding
from appliance.director.context import Context
from appliance.director.sight import leftover
from appliance.model.address import Address, address_order
from appliance.model.check import ProbeTarget
from appliance.model.service import ServiceKey

MOST_FAILING_SHOWN = 20


class VipStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One VIP. ``announced_to`` names the established peers that BIRD exports it to; ``for_s`` is how long so far.

    ``kernel`` is ``proven``, what is wrong with it in words, or ``-`` where it was not looked at yet.
    ``recent_repairs`` are those that the gate still counts: a few more in this short time, and it withdraws the VIP.
    ``limits`` says in words whom the guard lets through to its services, and how often, where that is not everybody.
    ``depreferred`` is whether BIRD was read to ask routers to avoid it, ``drain`` the operator's order against it.
    """

    vip: str
    state: str
    reason: str
    for_s: float
    kernel: str
    services: tuple[str, ...]
    owners: tuple[str, ...]
    backends_ready: int
    backends: int
    announced_to: tuple[str, ...]
    flaps: int
    recent_repairs: int
    limits: tuple[str, ...] = ()
    depreferred: bool = False
    drain: str = ""


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One BGP session."""

    name: str
    established: bool
    state: str
    announced: int


class DrainStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's order to drain the node; ``since`` is the time of day."""

    who: str
    why: str
    since: datetime


class ChecksStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The active checks: how many targets there are, how often each is probed, and which fail (the first of them).

    ``unprobed`` counts ready backends that no probe can speak for: those of services that are not TCP through IPIP.
    """

    targets: int
    interval_s: float
    unprobed: int
    failing: int
    first_failing: tuple[str, ...]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole node. ``conditions`` are what stands in the way now; ``degraded`` is whether there is any.

    ``guard`` is how the guard of the VIPs stands, in words.
    ``problems`` are parts of the services that are refused, ``notes`` are parts that are taken otherwise than written.
    """

    node: str
    version: str
    degraded: bool
    waiting_for: str
    bird: str
    peers: tuple[PeerStatus, ...]
    conditions: dict[str, str]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    drain: DrainStatus | None = None
    checks: ChecksStatus | None = None
    guard: str = ""
    draining: int
    passes: int
    vips: tuple[VipStatus, ...]


def status(context: Context, version: str) -> Status:
    """The status of the node at this moment, on readings of the latest pass."""
    memory = context.memory
    conditions = dict(context.standing.all)
    routing = memory.routing
    peers = routing.peers if routing is not None else ()
    silent = [name for name in context.ports.sources if name not in memory.snapshots]
    order = memory.drains.node
    return Status(
        node=context.settings.node,
        version=version,
        degraded=bool(conditions or silent),
        waiting_for=f"first word of source {', '.join(silent)}" if silent else "",
        bird=routing.version if routing is not None else "",
        peers=tuple(
            PeerStatus(name=each.name, established=each.established, state=each.state, announced=len(each.exported))
            for each in peers
        ),
        conditions=conditions,
        problems=tuple(map(str, memory.desired.problems)) if memory.desired else (),
        notes=tuple(map(str, memory.desired.notes)) if memory.desired else (),
        drain=None if order is None else DrainStatus(who=order.who, why=order.why, since=order.since),
        checks=_checks(context),
        guard=guarding.describe(context),
        draining=len(memory.draining_s),
        passes=memory.passes,
        vips=tuple(_vip(context, vip) for vip in sorted(memory.by_vip.keys() | leftover(context), key=address_order)),
    )


def _checks(context: Context) -> ChecksStatus | None:
    memory, prober = context.memory, context.ports.prober
    if prober is None:
        return None
    services = memory.desired.services if memory.desired else {}
    probed = sum(map(len, memory.probed.values()))
    failing = [(key, backend) for key, backends in memory.failing.items() for backend in backends]
    failing.sort(key=lambda each: (each[0].order, address_order(each[1])))
    return ChecksStatus(
        targets=probed,
        interval_s=prober.interval_s,
        unprobed=sum(each.ready for each in services.values()) - probed,
        failing=len(failing),
        first_failing=tuple(_failing(context, ProbeTarget(*each)) for each in failing[:MOST_FAILING_SHOWN]),
    )


def _failing(context: Context, target: ProbeTarget) -> str:
    state = context.memory.checks.get(target)
    return f"{target}: {state.reason}" if state is not None else str(target)


def _vip(context: Context, vip: Address) -> VipStatus:
    memory = context.memory
    keys = memory.by_vip.get(vip, ())
    gate = memory.gates.get(vip, GateState(since_s=context.clock()))
    proof = memory.proofs.get(vip)
    routing = memory.routing
    owners = {memory.desired.services[key].owner for key in keys} if memory.desired else set()
    order = memory.drains.of(vip)
    return VipStatus(
        vip=str(vip),
        state=_state(gate, wanted=bool(keys), held=bool(memory.stand_ins), drained=order is not None),
        reason=gate.reason,
        for_s=max(context.clock() - gate.since_s, 0.0),
        kernel="-" if proof is None else proof.fault or "proven",
        services=tuple(f"{key.protocol.label}/{key.port}" for key in sorted(keys, key=lambda each: each.order)),
        owners=tuple(sorted(owners)),
        backends_ready=proof.ready if proof else 0,
        backends=proof.backends if proof else 0,
        announced_to=tuple(peer.name for peer in routing.peers if peer.established and vip in peer.exported)
        if routing is not None
        else (),
        flaps=gate.flaps,
        recent_repairs=len(recent_repairs(gate, context.settings.gate, context.clock())),
        limits=_limits(context, keys),
        depreferred=routing is not None and vip in routing.depreferred,
        drain=str(order) if order is not None else "",
    )


def _limits(context: Context, keys: Iterable[ServiceKey]) -> tuple[str, ...]:
    services = context.memory.desired.services if context.memory.desired else {}
    if context.ports.guard is None:
        return ()
    told = []
    for service in (services[key] for key in sorted(keys, key=lambda each: each.order)):
        name = f"{service.key.protocol.label}/{service.key.port}"
        sources = [str(each) for each in service.source_ranges if each.version == service.key.vip.version]
        if sources:
            told.append(f"{name}: from {', '.join(sources)} only")
        elif service.source_ranges:
            told.append(f"{name}: closed to all of this IP version")
        if service.new_flows_per_s is not None:
            told.append(f"{name}: at most {service.new_flows_per_s} new flows a second")
    return tuple(told)


def _state(gate: GateState, *, wanted: bool, held: bool, drained: bool) -> str:
    if not wanted:
        return "held" if held else "removing"
    if drained:
        return "draining" if gate.announce else "drained"
    return "announced" if gate.announce else "withdrawn"
