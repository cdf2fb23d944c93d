"""Fights over services and addresses: what is undone again and again is repaired at growing intervals only."""

import asyncio
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import replace

from appliance.decide import fight
from appliance.decide.proof import Proof
from appliance.director.context import Context
from appliance.director.retries import Subject, subject_of
from appliance.model.plan import AddDestination, AddService, EnsureLink, RemoveDestination, SetDestination, Step
from appliance.model.service import ServiceKey
from appliance.telemetry import messages

# A wake that comes a moment early would find nothing to do.
MARGIN_S = 0.01

Repair = tuple[Subject, type[Step], object]
"""One thing that has to be done again: to what, what, and to which destination."""


def seen(context: Context, repairs: Sequence[Step]) -> frozenset[Subject]:
    """What these steps would do was done before; returns the services and VIPs that are to be left alone for now.

    A service that is gone has lost its destinations as well, and a link its addresses: that is one repair.
    """
    memory, policy, now_s = context.memory, context.settings.fight, context.clock()
    whole = {subject_of(each) for each in repairs if isinstance(each, AddService | EnsureLink)}
    alone: set[Subject] = set()
    for step in repairs:
        subject = subject_of(step)
        if not isinstance(step, AddService | EnsureLink) and (subject in whole or _on_link(subject, whole)):
            continue
        repair = _repair(step)
        state = memory.fights[repair] = fight.undone(memory.fights.get(repair), policy, now_s)
        if not state.may_repair(now_s):
            alone.add(subject)
            _look_again(context, subject, state.next_s)
    return frozenset(alone)


def known(context: Context, step: Step) -> bool:
    """Whether what the step would do was undone lately."""
    return _repair(step) in context.memory.fights


def mended(context: Context, subjects: Container[Subject]) -> None:
    """These are as they should be: what was broken of them is so from now on."""
    memory, now_s = context.memory, context.clock()
    for repair, state in memory.fights.items():
        if state.broken and repair[0] in subjects:
            memory.fights[repair] = fight.mended(state, now_s)


async def watch(context: Context) -> None:
    """Forget what is over, and say what is undone and by whom."""
    memory, policy, now_s = context.memory, context.settings.fight, context.clock()
    if not memory.fights:
        return
    for repair, state in list(memory.fights.items()):
        after = memory.fights[repair] = fight.calmed(state, policy, now_s)
        if fight.over(after, policy, now_s):
            del memory.fights[repair]
        elif after.fighting and not after.broken:
            _look_again(context, repair[0], after.mended_s + policy.calm_s)
    if not memory.kube_proxy:  # it may come while an older fight is remembered
        memory.kube_proxy = await asyncio.to_thread(context.ports.link.exists, fight.KUBE_PROXY_LINK)
    # Where kube-proxy's link is, nobody needs to be undone twice to know.
    told = {
        repair[0]
        for repair, state in memory.fights.items()
        if fight.worth_telling(state, policy) or (memory.kube_proxy and repair[1] is AddService)
    }
    if told:
        context.standing.begin(messages.FIGHT, _text(told, kube_proxy=memory.kube_proxy))
    else:
        context.standing.end(messages.FIGHT)
    if not memory.fights:
        memory.kube_proxy = None


def fought_over(context: Context) -> frozenset[Subject]:
    """What is fought over now."""
    return frozenset(repair[0] for repair, state in context.memory.fights.items() if state.fighting)


def doubted(context: Context, proof: Proof, fought: Collection[Subject]) -> Proof:
    """The proof, bad as long as its VIP is ``fought`` over: what is whole just now has been undone all the time."""
    if not fought or not proof.ok:
        return proof
    subjects: list[Subject] = ["link", proof.vip, *context.memory.by_vip.get(proof.vip, ())]
    if not any(subject in fought for subject in subjects):
        return proof
    calm_s = context.settings.fight.calm_s
    reason = f"something keeps undoing it: back once a repair has held for {calm_s:g} s"
    return replace(proof, ok=False, reason=reason, fault=reason)


def _repair(step: Step) -> Repair:
    if isinstance(step, AddDestination | SetDestination | RemoveDestination):
        return step.key, type(step), step.destination.identity
    return subject_of(step), type(step), None


def _on_link(subject: Subject, whole: Container[Subject]) -> bool:
    return not isinstance(subject, ServiceKey) and "link" in whole


def _look_again(context: Context, subject: Subject, at_s: float) -> None:
    memory = context.memory
    if isinstance(subject, ServiceKey):
        keys: Iterable[ServiceKey] = memory.by_vip[subject.vip] if subject in memory.expected else (subject,)
    else:
        keys = () if isinstance(subject, str) else memory.by_vip.get(subject, ())
    context.wakes.services_at(at_s + MARGIN_S, *keys)


def _text(subjects: Iterable[Subject], *, kube_proxy: bool) -> str:
    first, *others = sorted(map(str, subjects))
    more = f" and {len(others)} more" if others else ""
    who = fight.suspect(in_ipvs=any(isinstance(each, ServiceKey) for each in subjects), kube_proxy=kube_proxy)
    return f"something undoes what is put in place of {first}{more}: {who}"
