"""Carrying out steps: in slices, within a time budget, every failure kept with its step."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.director.ports import Ipvs
from appliance.model.plan import AddService, Outcome, ServiceStep, SetService, Step, StepResult
from appliance.model.service import ServiceKey

# Some 50 ms of work for a small machine: large enough for batches, small enough to look at the clock.
SLICE_STEPS = 500
USUAL_STEP_S = 1e-4
"""Seconds that a step takes on a small machine, for a director that has not timed any yet."""


@dataclass(frozen=True, slots=True)
class Built:
    """What came of the steps: the services touched, those with a step that failed, those not reached in time.

    ``outcomes`` counts the steps by kind and outcome, ``batches`` how often they were handed over. ``done`` are those
    that changed something. ``step_s`` is how long each took, None where they were too few to tell.
    """

    touched: frozenset[ServiceKey] = frozenset()
    failures: tuple[StepResult, ...] = ()
    failed: frozenset[ServiceKey] = frozenset()
    left: frozenset[ServiceKey] = frozenset()
    batches: int = 0
    outcomes: Mapping[tuple[type[Step], Outcome], int] = field(default_factory=dict)
    done: tuple[ServiceStep, ...] = ()
    step_s: float | None = None


def build(ipvs: Ipvs, steps: Sequence[ServiceStep], clock: Callable[[], float], budget_s: float) -> Built:
    """Apply ``steps`` until they are done or ``budget_s`` is spent; a service is never left between two slices."""
    started_s = clock()
    touched: set[ServiceKey] = set()
    failures: list[StepResult] = []
    failed: set[ServiceKey] = set()
    left: frozenset[ServiceKey] = frozenset()
    outcomes: Counter[tuple[type[Step], Outcome]] = Counter()
    done: list[ServiceStep] = []
    batches = 0
    slices = sliced(steps)
    handed_over = 0
    for number, batch in enumerate(slices):
        if number and clock() - started_s > budget_s:
            left = keys_of(step for rest in slices[number:] for step in rest)
            break
        touched |= keys_of(batch)
        batches += 1
        handed_over += len(batch)
        results = ipvs.apply(batch)
        succeeded = [step for step, each in zip(batch, results, strict=True) if each.outcome is Outcome.DONE]
        done += succeeded
        outcomes.update({(kind, Outcome.DONE): number for kind, number in Counter(map(type, succeeded)).items()})
        if len(succeeded) == len(batch):
            continue
        for step, result in zip(batch, results, strict=True):
            if result.outcome is not Outcome.DONE:
                outcomes[type(step), result.outcome] += 1
            if result.outcome in (Outcome.RETRY, Outcome.FATAL):
                failures.append(result)
                failed.add(key_of(step))
    step_s = (clock() - started_s) / handed_over if handed_over >= SLICE_STEPS else None
    return Built(frozenset(touched), tuple(failures), frozenset(failed), left, batches, outcomes, tuple(done), step_s)


def unreached(steps: Sequence[ServiceStep], step_s: float, budget_s: float) -> frozenset[ServiceKey]:
    """The services that ``build`` will not come to where each step takes ``step_s``; never one of the first slice."""
    slices = sliced(steps) if len(steps) > SLICE_STEPS else []
    reached = 1 + int(budget_s / (SLICE_STEPS * step_s)) if step_s > 0 else len(slices)
    return keys_of(step for rest in slices[reached:] for step in rest)


def sliced(steps: Sequence[ServiceStep]) -> list[list[ServiceStep]]:
    """The steps in slices of about SLICE_STEPS, cut only between two services."""
    slices: list[list[ServiceStep]] = []
    for step in steps:
        fits = slices and (len(slices[-1]) < SLICE_STEPS or key_of(slices[-1][-1]) == key_of(step))
        if not fits:
            slices.append([])
        slices[-1].append(step)
    return slices


def key_of(step: ServiceStep) -> ServiceKey:
    """The service that a step belongs to."""
    return step.service.key if isinstance(step, AddService | SetService) else step.key


def keys_of(steps: Iterable[ServiceStep]) -> frozenset[ServiceKey]:
    """The services that the steps belong to."""
    found: set[ServiceKey] = set()
    latest = None
    for step in steps:
        key = key_of(step)
        # A service's steps stand together, and to hash a key costs more than all the rest here.
        if key is not latest:
            found.add(key)
            latest = key
    return frozenset(found)
