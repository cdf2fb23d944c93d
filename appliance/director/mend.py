"""Second stage of a pass: build what is missing, repair what differs, and read back what was touched."""

import asyncio
import errno
import os

from appliance.decide.diff import DrainPolicy, ServiceDiff, diff_link, diff_services, drain_clock
from appliance.director import words
from appliance.director.build import Built, build, key_of
from appliance.director.context import Context
from appliance.director.sight import ours, read_link, read_services
from appliance.model.address import Address
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

# Above this many services in one pass the journal gets their number, not a line for each.
MAX_REPAIRS_TOLD = 20


async def mend(context: Context, keys: frozenset[ServiceKey]) -> frozenset[Address]:
    """Put the services ``keys`` and the link in order; returns the VIPs of which something had to be repaired.

    Work on what the sources changed is no repair, nor is the end of a drain.
    """
    memory = context.memory
    difference = _compare(context, keys)
    repairs = [
        each for each in difference.build if key_of(each) not in memory.changed and not _ends_drain(each, context)
    ]
    on_services = sum(1 for each in repairs if isinstance(each, AddService | SetService | RemoveService))
    context.record.repaired("service", on_services)
    context.record.repaired("destination", len(repairs) - on_services)
    repaired = {key_of(each).vip for each in repairs if key_of(each) in memory.expected}
    # Of a withdrawn VIP its reason is told, not every further attempt.
    _tell_repairs(context, [each for each in repairs if key_of(each).vip in memory.announce])
    if difference.build:
        built = await asyncio.to_thread(
            build, context.ports.ipvs, difference.build, context.clock, context.settings.repair_budget_s
        )
        await read_services(context, built.touched)
        context.record.applied(built.batches, built.outcomes)
        context.teller.programmed(built.done)
        _report(context, built)
    else:
        built = Built()
    repaired |= await _mend_link(context)
    memory.changed -= keys - built.left - built.failed
    if built.left:
        context.wakes.services(built.left)
    return frozenset(repaired)


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
        context.wakes.services_at(since_s + drain.lasts_s(key), key)
    return difference


def _save_drains(context: Context) -> None:
    """A clock that cannot be written is a pity after a restart, and no reason to stop now."""
    try:
        context.drains.save(context.memory.draining_s)
    except OSError as error:
        text = f"the clock of drains cannot be written: {error.strerror}; a restarted director would begin them anew"
        context.standing.begin("drain clock", text)
    else:
        context.standing.end("drain clock")


def _ends_drain(step: ServiceStep, context: Context) -> bool:
    """Whether the step removes what has drained: a plan carried out, not a repair."""
    if isinstance(step, RemoveService):
        return bool(context.memory.services[step.key].destinations)
    return isinstance(step, RemoveDestination)


async def _mend_link(context: Context) -> set[Address]:
    """Put link and addresses in order; returns the announced VIPs whose address had to be put back."""
    memory = context.memory
    owned = frozenset(vip for vip in memory.link.addresses if ours(context, vip))
    steps, _ = diff_link(frozenset(memory.by_vip), memory.link, owned)
    if not steps:
        return set()
    results = await asyncio.to_thread(context.ports.link.apply, steps)
    await read_link(context)
    for result in results:
        context.standing.end(f"kernel {_named(result.step)[1]}")
        _report_failure(context, result)
    repaired = {each.vip for each in steps if isinstance(each, AddAddress)} & memory.announce
    context.record.repaired("address", len(repaired))
    context.record.repaired("link", int(bool(memory.announce) and EnsureLink() in steps))
    for vip in repaired:
        context.journal.notice("repairing: the address was gone from the link", VIP=vip)
    return repaired


def _report(context: Context, built: Built) -> None:
    for result in built.failures:
        _report_failure(context, result)
    for key in built.touched - built.failed:
        context.standing.end(f"kernel {key}")


def _report_failure(context: Context, result: StepResult) -> None:
    if result.outcome not in (Outcome.RETRY, Outcome.FATAL):
        return
    what, name = _named(result.step)
    reason = f"{errno.errorcode.get(result.errno, result.errno)} ({os.strerror(result.errno)})"
    context.standing.begin(f"kernel {name}", f"the kernel refused to {what}: {reason}", OUTCOME=result.outcome.value)


def _named(step: ServiceStep | AddressStep) -> tuple[str, object]:
    """The step in words, and the name under which its failure stands."""
    if isinstance(step, ServiceStep):
        return words.what(step), key_of(step)
    return words.what(step), getattr(step, "vip", "link")


def _tell_repairs(context: Context, steps: list[ServiceStep]) -> None:
    told = words.repairs(steps, context.memory.services)
    if len(told) > MAX_REPAIRS_TOLD:
        context.journal.notice("repairing: the kernel has lost what was put there", SERVICES=len(told))
        return
    for key, text in told.items():
        context.journal.notice(
            "repairing: the kernel differs from what was put there", VIP=key.vip, SERVICE=key, CHANGE=text
        )
