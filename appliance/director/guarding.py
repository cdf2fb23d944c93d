"""The guard of the VIPs: put in force before IPVS has a service, read in each pass, repaired, and part of the proof."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from appliance.decide import backoff, fight
from appliance.decide.guard import Gaps, GuardPolicy, drift, gaps, guard, stands
from appliance.decide.proof import Proof
from appliance.director.context import Context
from appliance.director.ports import Guard as Port
from appliance.director.sight import ours, read_services
from appliance.errors import KernelError
from appliance.model.address import Address
from appliance.model.guard import Guard, ObservedGuard
from appliance.model.service import ServiceKey
from appliance.telemetry import messages

# A wake that comes a moment early would find nothing to do.
MARGIN_S = 0.01
# Listing a large table keeps a processor busy: at most so much of its time goes into listings that somebody else's
# changes of other rulesets ask for, and into those that nothing asks for.
ASKED_SHARE = 0.1
UNASKED_SHARE = 0.0125
_UNREAD = "the guard cannot be read: {}"


async def keep(context: Context, *, whole: bool = False) -> frozenset[ServiceKey]:
    """Read the guard, and put it in force where it is not; returns the services whose VIPs are to be judged for it.

    ``whole`` reads it also where the kernel says that nobody changed any ruleset.
    """
    port, state = context.ports.guard, context.memory.guard
    if port is None or (not state.due and not _ended(context) and _resting(context)):
        return frozenset()
    before = state.gaps
    try:
        observed = await _read(context, port, whole=whole and context.clock() >= state.whole_s)
    except KernelError as error:
        # What cannot be read proves nothing: what was read last holds.
        context.standing.begin(messages.GUARD, _UNREAD.format(error))
        return frozenset()
    wanted = await _wanted(context, observed)
    _count(context, observed)
    if not stands(wanted, observed) and _may_mend(context):
        observed = await _mend(context, port, wanted, observed)
    if stands(wanted, observed):
        context.standing.end(messages.GUARD)
    state.gaps = gaps(wanted, observed)
    _watch(context)
    changed = _concerned(context, before, state.gaps)
    await read_services(context, changed)
    return changed


async def trim(context: Context) -> None:
    """Close what has left the kernel since this pass began."""
    if context.ports.guard is not None and _ended(context):
        await keep(context)


async def disturbed(context: Context) -> bool:
    """Whether the guard is not what it should be: where nobody changed any ruleset that is one small question."""
    port, state = context.ports.guard, context.memory.guard
    if port is None or state.stood is None or context.clock() < state.next_s:
        return False
    try:
        if stands(state.stood, await _read(context, port)):
            return False
    except KernelError as error:
        context.standing.begin(messages.GUARD, _UNREAD.format(error))
        return False
    state.next_s = 0.0  # the pass that follows is not to wait
    return True


def proven(context: Context, proof: Proof) -> Proof:
    """The proof, bad where the guard was not read to hold for its VIP what it should."""
    gap = "" if context.ports.guard is None else context.memory.guard.gaps.of(proof.vip)
    if not gap or proof.fault:
        return proof
    return replace(proof, ok=False, reason=gap, fault=gap)


def settled(context: Context) -> bool:
    """Whether there is nothing left to do for the guard."""
    state = context.memory.guard
    return context.ports.guard is None or not (state.due or state.gaps or _ended(context))


def describe(context: Context) -> str:
    """How the guard stands, in words."""
    if context.ports.guard is None:
        return "disabled: every port of this node that listens on all addresses answers on the VIPs (guard.enabled)"
    state = context.memory.guard
    if state.wanted is None or state.gaps:
        return state.gaps.whole or f"not as it should be for {len(state.gaps.vips)} VIPs"
    rules = state.wanted.rules
    ranged = sum(rule.sources is not None for rule in rules)
    limited = sum(rule.limit is not None for rule in rules)
    return f"in force: {len(rules)} ports open, {ranged} to some clients only, {limited} with a limit of new flows"


async def _read(context: Context, port: Port, *, whole: bool = False) -> ObservedGuard:
    observed, took_s = await asyncio.to_thread(_timed, port, context.cpu_clock, whole=whole)
    state, now_s = context.memory.guard, context.clock()
    state.next_s = now_s + took_s / ASKED_SHARE
    if whole:
        state.whole_s = now_s + took_s / UNASKED_SHARE
    return observed


def _timed(port: Port, cpu_clock: Callable[[], float], *, whole: bool) -> tuple[ObservedGuard, float]:
    started_s = cpu_clock()
    observed = port.read(whole=whole)
    return observed, cpu_clock() - started_s


async def _wanted(context: Context, observed: ObservedGuard) -> Guard:
    """The guard that is wanted now; it is worked out anew only where something changed that it goes by."""
    memory, state = context.memory, context.memory.guard
    own = _own(context)
    if state.wanted is not None and not state.due and own == state.own and not _ended(context):
        return state.wanted
    services = memory.desired.services if memory.desired else {}
    policy = GuardPolicy(context.settings.networks, own, context.settings.refusal)
    before = state.wanted or observed.guard
    state.due, state.own = False, own
    wanted = await asyncio.to_thread(
        guard, services.values(), policy, standing=frozenset(memory.services), before=before
    )  # fmt: skip
    state.ending = frozenset(rule.key for rule in wanted.rules if rule.key not in services)
    state.wanted = wanted
    return wanted


def _own(context: Context) -> frozenset[Address]:
    return frozenset(address for address in context.memory.link.elsewhere if ours(context, address))


def _ended(context: Context) -> bool:
    """Whether a service that nobody wants has left the kernel, so that its rule may go."""
    ending = context.memory.guard.ending
    return bool(ending) and not ending <= context.memory.services.keys()


def _resting(context: Context) -> bool:
    """Whether the guard stood, and listing it again so soon would cost too much."""
    state = context.memory.guard
    return not state.gaps and context.clock() < state.next_s and _own(context) == state.own


def _count(context: Context, observed: ObservedGuard) -> None:
    """Count it where somebody undid what was put in force."""
    state, now_s = context.memory.guard, context.clock()
    if state.stood is None:
        return
    if not stands(state.stood, observed):
        state.fight = fight.undone(state.fight, context.settings.fight, now_s)
    elif state.fight is not None:
        state.fight = fight.mended(state.fight, now_s)


def _may_mend(context: Context) -> bool:
    """Whether the time has come to repair it: it may be fought over, or the kernel may have refused it."""
    state, now_s = context.memory.guard, context.clock()
    for waiting_s in (
        state.fight.next_s if state.fight is not None else now_s,
        state.backoff.next_s if state.backoff is not None else now_s,
    ):
        if waiting_s > now_s:
            context.wakes.services_at(waiting_s + MARGIN_S)
            return False
    return True


async def _mend(context: Context, port: Port, wanted: Guard, observed: ObservedGuard) -> ObservedGuard:
    """Put ``wanted`` in force and read it back; where that fails, what was observed holds."""
    state, settings = context.memory.guard, context.settings
    try:
        await asyncio.to_thread(port.apply, wanted)
        after = await _read(context, port)
    except KernelError as error:
        state.backoff = backoff.failed(state.backoff, settings.backoff, context.clock())
        context.wakes.services_at(state.backoff.next_s + MARGIN_S)
        context.standing.begin(messages.GUARD, f"the guard cannot be put in force: {error}")
        return observed
    if state.fight is not None and state.fight.broken:
        change = drift(wanted, observed)
        context.journal.tell(messages.REPAIRING_GUARD, CHANGE=change, GENERATION=context.memory.generation)
        context.record.repaired("guard", 1)
        state.fight = fight.mended(state.fight, context.clock())
        context.wakes.services_at(context.clock() + settings.verify_s)
    state.backoff, state.stood = None, wanted
    return after


def _watch(context: Context) -> None:
    """While it is fought over no VIP counts as guarded; says so, and forgets what is over."""
    state, policy, now_s = context.memory.guard, context.settings.fight, context.clock()
    if state.fight is None:
        return
    after = state.fight = fight.calmed(state.fight, policy, now_s)
    if fight.over(after, policy, now_s):
        state.fight = None
    if after.fighting:
        state.gaps = Gaps(f"something keeps undoing the guard: back once a repair has held for {policy.calm_s:g} s")
        context.wakes.services_at((after.next_s if after.broken else after.mended_s + policy.calm_s) + MARGIN_S)
    if state.fight is not None and fight.worth_telling(after, policy):
        context.standing.begin(messages.GUARD_FIGHT, f"something undoes the guard again and again: {SUSPECT}")
    else:
        context.standing.end(messages.GUARD_FIGHT)


SUSPECT = (
    "probably a firewall that empties all of nftables whenever it is loaded (flush ruleset in a file for nft -f, "
    "nftables.service, firewalld) or a script: have it replace its own tables only"
)


def _concerned(context: Context, before: Gaps, after: Gaps) -> frozenset[ServiceKey]:
    """The services on VIPs of which it changed how they are guarded."""
    memory = context.memory
    if bool(before.whole) != bool(after.whole):
        return memory.keys_of(memory.by_vip)
    return memory.keys_of(before.vips ^ after.vips)
