"""Last stages of a pass: judge each VIP, tell BIRD, take apart what BIRD was seen silent about."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from dataclasses import replace

from appliance.decide import mtu, own_address
from appliance.decide.diff import diff_link
from appliance.decide.gate import Evidence, GateState, Phase, adopted, forgotten, step
from appliance.decide.proof import prove
from appliance.decide.teardown import settled, silent_since
from appliance.director import brakes, fights, guarding, ownership, rivals
from appliance.director.context import Context
from appliance.director.draining import announcement, forbidden
from appliance.director.sight import leftover, ours, read_link, read_services
from appliance.errors import BirdError, BirdUnreachable
from appliance.model.address import Address, address_order
from appliance.model.observed import ObservedService
from appliance.model.plan import Outcome, RemoveService
from appliance.model.routing import Routing
from appliance.model.service import ServiceKey
from appliance.telemetry import messages

# A wake that comes a moment early would run a pass for nothing.
MARGIN_S = 0.01
# A BIRD that says no may have restarted its sessions to find out: not with every timer.
REFUSED_PAUSE_S = 60.0


async def install(context: Context) -> None:
    """Have BIRD run the configuration that is ours to write; a BIRD that is away or refuses it is asked again later."""
    memory = context.memory
    if memory.installed or context.clock() < memory.install_at_s:
        return
    try:
        await context.ports.router.install()
    except BirdError as error:
        pause_s = 0.0 if isinstance(error, BirdUnreachable) else REFUSED_PAUSE_S
        memory.install_at_s = context.clock() + pause_s
        context.standing.begin(messages.BIRD_CONFIGURATION, str(error))
        context.record.configured("sessions", error)
        return
    context.record.configured("sessions")
    memory.installed = True
    context.standing.end(messages.BIRD_CONFIGURATION)


async def adopt(context: Context) -> None:
    """What BIRD announces already was let out by a director before us: it stays until it is proven wrong (I7)."""
    memory = context.memory
    if memory.adopted:
        return
    memory.routing = await _ask(context, context.ports.router.observe())
    if memory.routing is None:
        return
    memory.adopted = True
    brakes.adopt(context, memory.routing.held)
    memory.held_over = memory.routing.held - memory.by_vip.keys()
    context.wakes.everything()
    for vip in sorted(memory.routing.held & memory.by_vip.keys(), key=address_order):
        memory.judge(vip, adopted(context.clock()))
        context.journal.tell(messages.ADOPTED, VIP=vip, GENERATION=memory.generation)


async def obey(context: Context) -> None:
    """Do what an operator has ordered since the last pass, as far as that needs no new reading of the kernel."""
    memory = context.memory
    if not memory.ordered:
        return
    memory.ordered = False
    judge(context, memory.keys_of(vip for vip, state in memory.gates.items() if forbidden(context, vip, state)))
    await publish(context, verify=False)


def judge(context: Context, keys: Iterable[ServiceKey], repaired: frozenset[Address] = frozenset()) -> None:
    """Step the gate of every VIP that the pass was about, and plan the next look at those not settled yet.

    What comes of it is left for ``tell``: to write it down takes longer, and is not to keep routers waiting.
    """
    memory, settings, now_s = context.memory, context.settings, context.clock()
    observed, desired = memory.observed, memory.desired.services if memory.desired else {}
    fought = fights.fought_over(context)
    # What no pass came to yet is no fault: a service that is new to an announced VIP must not take it down.
    waiting = memory.changed - memory.stuck
    vips = {key.vip for key in keys} | repaired | set(memory.gates).difference(memory.by_vip)
    for vip in sorted(vips, key=address_order):
        wanted = memory.by_vip.get(vip, ())
        before = memory.gates.get(vip) or GateState(since_s=now_s)
        if _still_down(context, vip, before):
            continue
        due = [key for key in wanted if not (before.announce and key in waiting)]
        if wanted and not due:
            continue
        expected = [memory.expected[key] for key in due]
        proof = prove(vip, expected, observed, settings.min_backends, desired) if expected else None
        proof = guarding.proven(context, fights.doubted(context, proof, fought)) if proof is not None else None
        if proof is not None and not before.announce and (caution := _caution(context, vip, expected)):
            proof = replace(proof, caution=caution)
        after = step(before, Evidence(proof, vip in repaired, forbidden(context, vip, before)), settings.gate, now_s)
        if proof is None:
            memory.proofs.pop(vip, None)
        else:
            memory.proofs[vip] = proof
        memory.judge(vip, after)
        memory.moved.append((vip, before, after))
        if proof is not None and proof.ok and not proof.caution:
            _look_again(context, vip, after, repaired=vip in repaired)


def _still_down(context: Context, vip: Address, state: GateState) -> bool:
    """Whether the VIP is down because of what this pass had no time to repair: thousands may be, for several passes."""
    memory = context.memory
    if state.announce or state.proofs or not memory.unreached or memory.drains.of(vip) is not None:
        return False
    return vip in memory.proofs and any(key in memory.unreached for key in memory.by_vip.get(vip, ()))


def _caution(context: Context, vip: Address, services: Iterable[ObservedService]) -> str:
    """Why a VIP with these services should not be let out, though this node serves it; empty where nothing is."""
    settings, narrow = context.settings, context.memory.narrow
    if vip in context.memory.taken:
        return own_address.in_words({vip})
    if not narrow or settings.min_path_mtu is None:
        return ""
    return mtu.caution(services, narrow, settings.min_path_mtu, settings.route_prefix_v4, settings.route_prefix_v6)


def _look_again(context: Context, vip: Address, state: GateState, *, repaired: bool) -> None:
    """A repair is verified soon; a VIP on its way up is proven again soon, or when its hold-down ends.

    What is broken again and again may be whole just when it is looked at, so an announced VIP is verified until its
    repairs no longer count, each time after as long as the repair has held.
    """
    settings, now_s = context.settings, context.clock()
    if repaired:
        at_s = now_s + settings.verify_s
    elif state.phase is Phase.DOWN:
        proven = state.proofs >= settings.gate.rise
        at_s = max(state.hold_until_s, now_s) + MARGIN_S if proven else now_s + settings.proof_interval_s + MARGIN_S
    elif state.repairs_s:
        at_s = now_s + max(now_s - state.repairs_s[-1], settings.verify_s)
    else:
        return
    context.wakes.services_at(at_s, *context.memory.by_vip[vip])


def tell(context: Context) -> None:
    """Write down which VIPs the gate has let out and withdrawn, and why others are still not announced."""
    moved, context.memory.moved = context.memory.moved, []
    for vip, before, after in moved:
        _tell(context, vip, before, after)


def _tell(context: Context, vip: Address, before: GateState, after: GateState) -> None:
    generation = context.memory.generation
    if before.phase is not after.phase:
        kind = messages.ANNOUNCING if after.announce else messages.WITHDRAWING
        phases = {"FROM": before.phase.value, "TO": after.phase.value}
        context.journal.tell(kind, VIP=vip, REASON=after.reason, GENERATION=generation, **phases)
    elif not after.announce and after.proofs == 0 and before.reason != after.reason and after.repairs_s == ():
        context.journal.tell(messages.NOT_ANNOUNCED, VIP=vip, REASON=after.reason, GENERATION=generation)


async def publish(context: Context, *, verify: bool) -> None:
    """Bring BIRD to announce what the gate lets out; with ``verify`` also when it was told so before."""
    memory, router = context.memory, context.ports.router
    if not memory.adopted:
        return
    if verify:
        memory.routing = await _ask(context, router.observe())
    wanted = announcement(context)
    if rivals.stands(context, wanted) or rivals.left_alone(context, wanted):
        return
    wait_s = router.ready_in_s(context.clock())
    if wait_s > 0:
        context.wakes.services_at(context.clock() + wait_s + MARGIN_S)
        return
    memory.stood = None
    memory.routing = await _ask(context, router.publish(wanted), configures=True)
    rivals.stands(context, wanted)


async def _ask(context: Context, question: Awaitable[Routing], *, configures: bool = False) -> Routing | None:
    """BIRD's answer, or None and a standing condition where it gives none."""
    try:
        answer = await question
    except BirdError as error:
        context.standing.begin(messages.BIRD, str(error))
        if configures:
            context.record.configured("vips", error)
        return None
    if configures:
        context.record.configured("vips")
    context.standing.end(messages.BIRD)
    if answer.isolated:
        context.standing.begin(messages.ISOLATED, "no BGP session is established: routers hear nothing from this node")
    else:
        context.standing.end(messages.ISOLATED)
    return answer


async def take_apart(context: Context) -> None:
    """Remove services and addresses that nobody wants, once BIRD has been seen silent about them long enough (I2)."""
    memory = context.memory
    unwanted = leftover(context)
    _forget(context, set(memory.gates).difference(memory.by_vip, unwanted))
    if not unwanted or memory.stand_ins:  # what a snapshot lacks may be younger than the snapshot (I3)
        memory.silent_s = {}
        return
    # What was read to be silent is read again when its time is over, or when nothing was read meanwhile.
    overdue = settled(memory.silent_s, context.settings.settle_s, context.clock())
    if memory.routing is None or overdue or unwanted - memory.silent_s.keys():
        memory.routing = await _ask(context, context.ports.router.observe())
    now_s = context.clock()
    memory.silent_s = silent_since(memory.silent_s, unwanted, memory.routing, now_s)
    ready = settled(memory.silent_s, context.settings.settle_s, now_s)
    for vip, since_s in memory.silent_s.items():
        if vip not in ready:
            context.wakes.services_at(since_s + context.settings.settle_s + MARGIN_S)
    if ready and memory.routing is not None:
        await _remove(context, ready)


def nothing_left(context: Context) -> bool:
    """Whether all is done until something changes: the VIPs stand, BIRD does as it should, nobody's VIPs are gone."""
    memory = context.memory
    stands = memory.link.up and frozenset(memory.by_vip) <= memory.link.addresses and not memory.changed
    stands = stands and guarding.settled(context)
    told = memory.routing is not None and announcement(context).stands_in(memory.routing)
    return stands and told and not memory.waits and (bool(memory.stand_ins) or not leftover(context))


def _forget(context: Context, gone: Iterable[Address]) -> None:
    """Let go of the gates of VIPs that are gone, once they could not damp a return any more."""
    policy, now_s = context.settings.gate, context.clock()
    for vip in gone:
        if forgotten(context.memory.gates[vip], policy, now_s):
            del context.memory.gates[vip]


async def _remove(context: Context, vips: frozenset[Address]) -> None:
    memory = context.memory
    # Nothing is removed on one reading: what a second one does not show as the first did waits for the next pass.
    link = memory.link.addresses
    first = {key: each for key, each in memory.services.items() if key.vip in vips and key not in memory.strangers}
    await read_link(context)
    await read_services(context, first)
    owned = frozenset(vip for vip in link & memory.link.addresses if ours(context, vip))
    _, addresses = diff_link(owned - vips, memory.link, owned)
    agreed = [key for key, each in first.items() if memory.services.get(key) == each]
    services = [RemoveService(key) for key in sorted(agreed, key=lambda each: each.order)]
    await asyncio.to_thread(context.ports.link.apply, addresses)
    results = await asyncio.to_thread(context.ports.ipvs.apply, services)
    context.record.applied(1, Counter((type(each.step), each.outcome) for each in results))
    context.teller.programmed(
        step for step, each in zip(services, results, strict=True) if each.outcome is Outcome.DONE
    )
    await read_link(context)
    await read_services(context, [each.key for each in services])
    ownership.release(context, [each.key for each in services])
    for each in services:
        context.standing.end(messages.KERNEL, each.key, VIP=each.key.vip, SERVICE=each.key)
    for vip in sorted(vips - leftover(context), key=address_order):
        context.journal.tell(messages.REMOVED, VIP=vip, GENERATION=memory.generation)
