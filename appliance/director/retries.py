"""Steps that the kernel refused: tried again at growing intervals, while everything else goes on."""

import errno
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

from appliance.decide.backoff import Backoff, failed
from appliance.director.build import key_of
from appliance.director.context import Context
from appliance.model.address import Address
from appliance.model.plan import AddService, EnsureLink, Outcome, ServiceStep, Step, StepResult
from appliance.model.service import ServiceKey
from appliance.telemetry import messages

Subject = ServiceKey | Address | str
"""What a step is about: a service, a VIP on the link, or the link itself."""

_S = TypeVar("_S", bound=Step)

# A wake that comes a moment early would find nothing to do.
MARGIN_S = 0.01

# What the step builds on went away meanwhile: the next reading finds that, so there is nothing to wait for.
_OVERTAKEN = frozenset({errno.ESRCH, errno.ENOENT, errno.ENODEV})


def subject_of(step: Step) -> Subject:
    """What the step is about."""
    if isinstance(step, ServiceStep):
        return key_of(step)
    return "link" if isinstance(step, EnsureLink) else step.vip


def due(context: Context, steps: Sequence[_S], concerns: Callable[[Subject], bool]) -> Sequence[_S]:
    """Those of ``steps`` that may be tried now.

    ``steps`` are all that is to be done for the subjects that ``concerns`` is true of: what was refused and is not
    among them is wanted no more. Without its service or link nothing can be tried.
    """
    backoffs = context.memory.backoffs
    if not backoffs:
        return steps
    arising = frozenset[Step](steps)
    _forget(context, [each for each in backoffs if concerns(subject_of(each)) and each not in arising])
    waiting = {step for step, state in backoffs.items() if not state.due(context.clock())}
    for step in waiting:
        _look_again(context, step, backoffs[step].next_s + MARGIN_S)
    if EnsureLink() in waiting:
        steps = [each for each in steps if isinstance(each, ServiceStep)]
    missing = {subject_of(each) for each in waiting if isinstance(each, AddService)}
    return [each for each in steps if each not in waiting and subject_of(each) not in missing]


def learn(context: Context, tried: Iterable[Step], failures: Collection[StepResult]) -> None:
    """Remember what was refused, and forget it of what worked."""
    memory, now_s = context.memory, context.clock()
    refused = {each.step for each in failures if not (each.outcome is Outcome.RETRY and each.errno in _OVERTAKEN)}
    for step in {each.step for each in failures} - refused:
        _look_again(context, step, now_s + context.settings.verify_s)
    if memory.backoffs:
        _forget(context, [each for each in tried if each in memory.backoffs and each not in refused])
    for step in refused:
        state = memory.backoffs[step] = failed(memory.backoffs.get(step), context.settings.backoff, now_s)
        _look_again(context, step, state.next_s + MARGIN_S)


def at_once(context: Context) -> None:
    """Something about links has changed: what was refused there may work now."""
    backoffs = context.memory.backoffs
    for step in [each for each in backoffs if not isinstance(each, ServiceStep)]:
        backoffs[step] = Backoff(backoffs[step].failures)


def refused(context: Context) -> frozenset[Subject]:
    """What the kernel refused something of, and has not taken since."""
    return frozenset(map(subject_of, context.memory.backoffs))


def _look_again(context: Context, step: Step, at_s: float) -> None:
    # Every pass looks after the link.
    context.wakes.services_at(at_s, *([key_of(step)] if isinstance(step, ServiceStep) else []))


def _forget(context: Context, steps: Collection[Step]) -> None:
    for step in steps:
        del context.memory.backoffs[step]
    if not steps:
        return
    for subject in {subject_of(each) for each in steps} - refused(context):
        fields = {"VIP": subject.vip, "SERVICE": subject} if isinstance(subject, ServiceKey) else {}
        context.standing.end(messages.KERNEL, subject, **fields)
