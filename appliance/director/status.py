"""What `balanced status` shows, as one value: worked out from the director's memory, changing nothing."""

import msgspec

from appliance.decide.gate import GateState, recent_repairs
from appliance.director.context import Context
from appliance.director.sight import leftover
from appliance.model.address import Address, address_order


class VipStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One VIP. ``announced_to`` names the established peers that BIRD exports it to; ``for_s`` is how long so far.

    ``kernel`` is ``proven``, what is wrong with it in words, or ``-`` where it was not looked at yet.
    ``recent_repairs`` are those that the gate still counts: a few more in this short time, and it withdraws the VIP.
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


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One BGP session."""

    name: str
    established: bool
    state: str
    announced: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole node. ``conditions`` are what stands in the way now; ``degraded`` is whether there is any.

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
    draining: int
    passes: int
    vips: tuple[VipStatus, ...]


def status(context: Context, version: str) -> Status:
    """The status of the node at this moment, on readings of the latest pass."""
    memory = context.memory
    conditions = standing(context)
    routing = memory.routing
    peers = routing.peers if routing is not None else ()
    silent = [name for name in context.ports.sources if name not in memory.snapshots]
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
        draining=len(memory.draining_s),
        passes=memory.passes,
        vips=tuple(_vip(context, vip) for vip in sorted(memory.by_vip.keys() | leftover(context), key=address_order)),
    )


def standing(context: Context) -> dict[str, str]:
    """What stands in the way now: every condition, and what follows from the latest reading of BIRD."""
    conditions = dict(context.standing.all)
    routing = context.memory.routing
    peers = routing.peers if routing is not None else ()
    if peers and not any(peer.established for peer in peers):
        conditions["isolated"] = "no BGP session is established: routers hear nothing from this node"
    return conditions


def _vip(context: Context, vip: Address) -> VipStatus:
    memory = context.memory
    keys = memory.by_vip.get(vip, ())
    gate = memory.gates.get(vip, GateState(since_s=context.clock()))
    proof = memory.proofs.get(vip)
    routing = memory.routing
    owners = {memory.desired.services[key].owner for key in keys} if memory.desired else set()
    return VipStatus(
        vip=str(vip),
        state=_state(gate, wanted=bool(keys), held=bool(memory.stand_ins)),
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
    )


def _state(gate: GateState, *, wanted: bool, held: bool) -> str:
    if not wanted:
        return "held" if held else "removing"
    return "announced" if gate.announce else "withdrawn"
