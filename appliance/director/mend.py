"""Second stage of a pass: build what is missing, repair what differs, and read back what was touched."""

import asyncio
import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.decide.diff import DrainPolicy, ServiceDiff, diff_link, diff_services, drain_clock
from appliance.director import fights, ownership, retries, words
from appliance.director.build import Built, build, key_of, keys_of, unreached
from appliance.director.context import Context
from appliance.director.sight import read_link, read_services
from appliance.model.address import Address
from appliance.model.observed import ObservedService
from appliance.model.plan import (
    AddAddress,
    AddressStep,
    AddService,
    EnsureLink,
    Outcome,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetService,
    StepResult,
)
from appliance.model.service import ServiceKey
from appliance.telemetry import messages

# A wake that comes a moment early would find nothing to do.
MARGIN_S = 0.01
# Above this many services in one pass the journal gets their number, not a line for each.
MAX_REPAIRS_TOLD = 20


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done for the services of a pass, by a comparison with what was ``wanted`` at that moment.

    ``repairs`` are those of the ``steps`` that put right what nobody asked for: neither a source, nor the end of a
    drain. ``foreign`` services are somebody else's.
    """

    steps: tuple[ServiceStep, ...]
    repairs: tuple[ServiceStep, ...]
    wanted: Mapping[ServiceKey, ObservedService]
    foreign: frozenset[ServiceKey]


def plan(context: Context, keys: frozenset[ServiceKey]) -> Work:
    """Compare what was read of the services ``keys`` with what is wanted."""
    memory = context.memory
    foreign = ownership.strangers(context, keys)
    steps = tuple(_compare(context, keys - foreign).build)
    repairs = tuple(each for each in steps if key_of(each) not in memory.changed and not _ends_drain(each, context))
    return Work(steps, repairs, memory.expected, foreign)


def too_late(context: Context, work: Work) -> frozenset[ServiceKey]:
    """The services under announced VIPs whose repair does not fit into this pass, as fast as steps were lately."""
    memory = context.memory
    late = unreached(work.steps, memory.step_s, context.settings.repair_budget_s)
    if not late:
        return late
    announced = memory.announce
    return frozenset(key for key in keys_of(work.repairs) & late if key.vip in announced)


async def mend(context: Context, keys: frozenset[ServiceKey], work: Work) -> frozenset[Address]:
    """Put the services ``keys`` and the link in order; returns the VIPs of which something had to be repaired.

    Work on what the sources changed is no repair, nor is the end of a drain.
    """
    memory = context.memory
    wanted, repairs, foreign = work.wanted, work.repairs, work.foreign
    doubtful = await _doubtful(context, work.steps)
    alone = fights.seen(context, [each for each in repairs if key_of(each) not in doubtful])
    before = {key: memory.services[key] for key in map(key_of, repairs) if key in memory.services}
    steps = retries.due(context, work.steps, keys.__contains__)
    built = await _build(context, [each for each in steps if key_of(each) not in doubtful | alone])
    done = keys_of(built.done)
    _tell_repairs(context, [each for each in repairs if key_of(each) in done], before)
    repaired = {key.vip for key in done & frozenset(map(key_of, repairs)) if key in memory.expected}
    repaired |= await _mend_link(context)
    undone = built.left | built.failed | doubtful | retries.refused(context) | foreign
    fights.mended(context, keys - undone - alone)
    # What a source said in the meantime is not in place yet.
    memory.changed -= {key for key in keys - undone if memory.expected.get(key) == wanted.get(key)}
    memory.unreached = built.left
    memory.stuck = frozenset(key for key in undone - built.left if isinstance(key, ServiceKey))
    await fights.watch(context)
    return frozenset(repaired)


async def _doubtful(context: Context, steps: Sequence[ServiceStep]) -> frozenset[ServiceKey]:
    """Of the services that something is to be removed from, those that a second reading shows in another way.

    Nothing is removed on one reading (fault 28). What the two do not agree about is looked at again.
    """
    services = context.memory.services
    keys = keys_of(each for each in steps if isinstance(each, RemoveService | RemoveDestination))
    first = {key: services.get(key) for key in keys}
    await read_services(context, keys)
    doubtful = frozenset(key for key in keys if services.get(key) != first[key])
    if doubtful:
        context.wakes.services_at(context.clock() + context.settings.verify_s, *doubtful)
    return doubtful


async def _build(context: Context, steps: Sequence[ServiceStep]) -> Built:
    """Carry out the steps and read back what they touched."""
    if not steps:
        return Built()
    ownership.claim(context, [key_of(each) for each in steps if isinstance(each, AddService)])
    built = await asyncio.to_thread(
        build, context.ports.ipvs, steps, context.clock, context.settings.repair_budget_s
    )  # fmt: skip
    await read_services(context, built.touched)
    context.memory.step_s = built.step_s or context.memory.step_s
    ownership.release(context, [each.key for each in built.done if isinstance(each, RemoveService)])
    context.record.applied(built.batches, built.outcomes)
    context.teller.programmed(built.done)
    if built.failures or context.memory.backoffs:
        retries.learn(context, [each for each in steps if key_of(each) not in built.left], built.failures)
    _report(context, built)
    if built.left:
        context.wakes.services(built.left)
    return built


def _compare(context: Context, keys: frozenset[ServiceKey]) -> ServiceDiff:
    """The difference for these services; the clock of their draining destinations is brought up to date."""
    memory, now_s = context.memory, context.clock()
    drain = DrainPolicy(memory.draining_s, now_s, context.settings.drain_time_s, memory.drain_times_s)
    # A service that a snapshot lacks may be younger than the snapshot (I3).
    concerned = keys & memory.expected.keys() if memory.stand_ins else keys
    difference = diff_services(
        {key: memory.expected[key] for key in keys if key in memory.expected},
        {key: memory.services[key] for key in concerned if key in memory.services},
        wanted_vips=frozenset(memory.by_vip),
        live_vips=memory.announce,
        drain=drain,
    )
    others = {each: since for each, since in memory.draining_s.items() if each[0] not in keys}
    draining = others | drain_clock(memory.draining_s, difference.draining, now_s)
    if draining != memory.draining_s:
        memory.draining_s = draining
        _save_drains(context)
    for (key, _, _), since_s in drain_clock(memory.draining_s, difference.draining, now_s).items():
        context.wakes.services_at(since_s + drain.lasts_s(key) + MARGIN_S, key)
    return difference


def _save_drains(context: Context) -> None:
    """A clock that cannot be written is a pity after a restart, and no reason to stop now."""
    try:
        context.drains.save(context.memory.draining_s)
    except OSError as error:
        context.record.unwritten()
        text = f"the clock of drains cannot be written: {error.strerror}; a restarted director would begin them anew"
        context.standing.begin(messages.DRAIN_CLOCK, text)
    else:
        context.standing.end(messages.DRAIN_CLOCK)


def _ends_drain(step: ServiceStep, context: Context) -> bool:
    """Whether the step removes what has drained: a plan carried out, not a repair."""
    if isinstance(step, RemoveService):
        return bool(context.memory.services[step.key].destinations)
    return isinstance(step, RemoveDestination)


async def _mend_link(context: Context) -> set[Address]:
    """Put link and addresses in order; returns the announced VIPs whose address had to be put back."""
    memory = context.memory
    wanted, _ = diff_link(frozenset(memory.by_vip), memory.link, owned=frozenset())
    repairs = [each for each in wanted if _was_done(context, each)]
    alone = fights.seen(context, repairs)
    due = retries.due(context, wanted, lambda subject: not isinstance(subject, ServiceKey))
    steps = [] if "link" in alone else [each for each in due if retries.subject_of(each) not in alone]
    done = await _change_link(context, steps) if steps else frozenset()
    missing = {retries.subject_of(each) for each in wanted if each not in done}
    on_link = {repair[0] for repair in memory.fights if not isinstance(repair[0], ServiceKey)}
    fights.mended(context, on_link - missing)
    repaired = {each.vip for each in done if isinstance(each, AddAddress)} & memory.announce
    context.record.repaired("address", len(repaired))
    context.record.repaired("link", int(bool(memory.announce) and EnsureLink() in done))
    for vip in repaired:
        context.journal.tell(messages.REPAIRING_ADDRESS, VIP=vip, GENERATION=memory.generation)
    return repaired


def _was_done(context: Context, step: AddressStep) -> bool:
    """Whether the step has been carried out before: what was let out stood."""
    announced = context.memory.announce
    return fights.known(context, step) or (step.vip in announced if isinstance(step, AddAddress) else bool(announced))


async def _change_link(context: Context, steps: Sequence[AddressStep]) -> frozenset[AddressStep]:
    """Carry out the steps and read the link again; returns those that changed something."""
    results = await asyncio.to_thread(context.ports.link.apply, steps)
    await read_link(context)
    failures = [each for each in results if each.outcome in (Outcome.RETRY, Outcome.FATAL)]
    retries.learn(context, steps, failures)
    for each in results:
        if each in failures:
            _report_failure(context, each)
        else:
            context.standing.end(messages.KERNEL, retries.subject_of(each.step))
    return frozenset(step for step, each in zip(steps, results, strict=True) if each.outcome is Outcome.DONE)


def _report(context: Context, built: Built) -> None:
    # What follows from the first failure of a service says nothing new.
    first = {key_of(each.step): each for each in reversed(built.failures) if isinstance(each.step, ServiceStep)}
    for result in first.values():
        _report_failure(context, result)
    for key in built.touched - built.failed - retries.refused(context):
        context.standing.end(messages.KERNEL, key, VIP=key.vip, SERVICE=key)


def _report_failure(context: Context, result: StepResult) -> None:
    name = retries.subject_of(result.step)
    reason = f"{errno.errorcode.get(result.errno, result.errno)} ({os.strerror(result.errno)})"
    text, outcome = f"the kernel refused to {words.what(result.step)}: {reason}", result.outcome.value
    key = name if isinstance(name, ServiceKey) else None
    vip = key.vip if key else getattr(result.step, "vip", None)
    context.standing.begin(messages.KERNEL, text, name, VIP=vip, SERVICE=key, OUTCOME=outcome)


def _tell_repairs(context: Context, repairs: Sequence[ServiceStep], before: dict[ServiceKey, ObservedService]) -> None:
    """Count what was repaired and tell it; of a withdrawn VIP its reason is told, not every further attempt."""
    on_services = sum(1 for each in repairs if isinstance(each, AddService | SetService | RemoveService))
    context.record.repaired("service", on_services)
    context.record.repaired("destination", len(repairs) - on_services)
    announced, generation = context.memory.announce, context.memory.generation
    told = words.repairs([each for each in repairs if key_of(each).vip in announced], before)
    if len(told) > MAX_REPAIRS_TOLD:
        context.journal.tell(messages.REPAIRING_MANY, SERVICES=len(told), GENERATION=generation)
        return
    for key, text in told.items():
        context.journal.tell(messages.REPAIRING, VIP=key.vip, SERVICE=key, CHANGE=text, GENERATION=generation)
