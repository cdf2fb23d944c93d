"""What the probes say becomes what the kernel should hold: a backend that fails them stands at weight 0."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from appliance.decide import check, panic
from appliance.director import intent
from appliance.director.context import Context
from appliance.director.memory import Memory
from appliance.director.ports import Prober
from appliance.errors import KernelError
from appliance.model.address import Address, address_order
from appliance.model.check import ProbeAnswer, ProbeResult, ProbeTarget
from appliance.model.service import ServiceKey
from appliance.telemetry import messages, metrics
from appliance.telemetry.messages import Message

# Verdicts are weighed over all VIPs at once: that may take this share of the time, however many targets there are.
SETTLING_SHARE = 0.05
# Above this many transitions at once the journal gets their number, not a line for each.
MOST_TOLD = 20

Failing = dict[ServiceKey, frozenset[Address]]


async def probe(context: Context, prober: Prober) -> None:
    """Follow the results of the probes until cancelled. Where there are none, every verdict stays as it is."""
    rested_at_s = context.clock()
    async for item in prober.results():
        if isinstance(item, KernelError):
            context.standing.begin(messages.CHECKS, f"{item}; every backend counts as it did before")
            continue
        hear(context, item)
        if context.memory.unsettled and context.clock() >= rested_at_s:
            started_s = context.cpu_clock()
            settle(context)
            rested_at_s = context.clock() + (context.cpu_clock() - started_s) / SETTLING_SHARE


def hear(context: Context, results: Sequence[ProbeResult]) -> None:
    """Count each result, and step the state of its target."""
    memory, policy = context.memory, context.settings.check
    for answer, number in Counter(result.answer for result in results).items():
        context.record.meter.add(metrics.PROBES, answer.value, by=number)
    for result in results:
        before = memory.checks.get(result.target, check.TRUSTED)
        after = check.step(before, result.answer, policy)
        if after is before:
            continue
        memory.unsettled |= after.failing != before.failing
        if after == check.TRUSTED:
            memory.checks.pop(result.target, None)
        else:
            memory.checks[result.target] = after
    _tell_unsent(context, results)


def adopt(context: Context) -> None:
    """Before the first pass mends anything: what a director before us put at weight 0 has to prove itself first (I7).

    Otherwise every restart would send clients to backends that are known to be dead.
    """
    memory = context.memory
    for key, probed in memory.probed.items():
        if key in memory.services:
            memory.checks |= dict.fromkeys(check.at_zero(probed, memory.services[key]), check.FOUND_AT_ZERO)
    if memory.checks:
        settle(context)


def settle(context: Context) -> None:
    """Weigh the verdicts of all targets; services whose failing backends are others than before are due for a pass.

    A prober that dies fails its targets one after the other, each on its own turn. But before the first of them has
    failed often enough, all have failed once: so the latest answers tell whether this is panic, not the verdicts. While
    it is, no more backends are taken out, whosever they are.
    """
    memory = context.memory
    latest: dict[ProbeTarget, bool] = {}
    by_vip: dict[Address, set[ProbeTarget]] = {}
    for key, probed in memory.probed.items():
        by_vip.setdefault(key.vip, set()).update(probed)
        latest |= dict.fromkeys(probed, True)
    latest |= {target: state.latest_well for target, state in memory.checks.items()}
    before = memory.panic.held
    memory.panic, _, alarm = panic.step(memory.panic, latest, by_vip, context.settings.panic, context.clock())
    memory.unsettled = held = memory.panic.held
    if held and not before:
        context.standing.begin(messages.CHECKS_HELD, alarm)
    elif before and not held:
        context.standing.end(messages.CHECKS_HELD)
        # What was said meanwhile counts for nothing: whoever is dead has to fail anew.
        memory.checks = {target: state for target, state in memory.checks.items() if _acted_on(memory, target)}
    failing = (target for target, state in memory.checks.items() if state.failing)
    _take(context, _grouped(target for target in failing if not held or _acted_on(memory, target)))


def trust(context: Context) -> tuple[str, ...]:
    """Believe the probes after all, since a person has looked; returns the VIPs that were held."""
    state = context.memory.panic
    if not state.held:
        return ()
    context.memory.panic = panic.trust(state)
    context.standing.end(messages.CHECKS_HELD)
    settle(context)
    return tuple(str(vip) for vip in sorted(state.lost, key=address_order))


def _acted_on(memory: Memory, target: ProbeTarget) -> bool:
    return target.backend in memory.failing.get(target.key, ())


def _take(context: Context, failing: Failing) -> None:
    memory = context.memory
    before, memory.failing = memory.failing, failing
    nobody = frozenset[Address]()
    changed = {key for key in before.keys() | failing.keys() if before.get(key) != failing.get(key)}
    fallen = [(key, each) for key in changed for each in failing.get(key, nobody) - before.get(key, nobody)]
    risen = [(key, each) for key in changed for each in before.get(key, nobody) - failing.get(key, nobody)]
    _tell(context, messages.BACKEND_FAILING, fallen)
    _tell(context, messages.BACKEND_WELL, risen)
    if changed:
        intent.refresh(context, changed)


def _grouped(targets: Iterable[ProbeTarget]) -> Failing:
    found: dict[ServiceKey, set[Address]] = {}
    for target in targets:
        found.setdefault(target.key, set()).add(target.backend)
    return {key: frozenset(each) for key, each in found.items()}


def _tell(context: Context, message: Message, moved: Collection[tuple[ServiceKey, Address]]) -> None:
    if len(moved) > MOST_TOLD:
        services = len({key for key, _ in moved})
        context.journal.tell(message, text=f"{message.text}: {len(moved)} backends", SERVICES=services)
        return
    for key, backend in moved:
        state = context.memory.checks.get(ProbeTarget(key, backend), check.TRUSTED)
        context.journal.tell(message, VIP=key.vip, SERVICE=key, BACKEND=backend, REASON=state.reason)


def _tell_unsent(context: Context, results: Sequence[ProbeResult]) -> None:
    memory = context.memory
    last = next((each for each in reversed(results) if each.answer is ProbeAnswer.UNSENT), None)
    memory.unsent = check.unsent(results, memory.unsent)
    if last is not None:
        text = f"probes cannot be sent: {last.detail}; backends that cannot be asked count as they did before"
        context.standing.begin(messages.CHECKS, text)
    elif not memory.unsent:
        context.standing.end(messages.CHECKS)
