"""Settings of the host: put right where they differ, and left alone where somebody insists on another value."""

import asyncio
from collections.abc import Iterable, Mapping
from math import inf

from appliance.decide.fight import FightPolicy, calmed, mended, over, undone
from appliance.director.context import Context
from appliance.model.host import Change
from appliance.telemetry import messages

POLICY = FightPolicy(undoings=3, window_s=600.0, first_s=inf, longest_s=inf, calm_s=0.0, remember_s=600.0)
"""Found wrong once, at a start, and set back twice within ten minutes: somebody wants it so."""

MOST_TOLD = 5
# The timer's passes are resync_s apart, give or take how long they wait for their turn.
_EARLY = 0.9


async def keep(context: Context) -> None:
    """Look at the settings, no more often than the resync timer; what cannot be put right is a condition."""
    host, memory = context.ports.host, context.memory
    if host is None or context.clock() < memory.settings_due_s:
        return
    memory.settings_due_s = context.clock() + context.settings.resync_s * _EARLY
    differing = await asyncio.to_thread(host.differing)
    _remember(context, differing)
    ours = [each for each in differing if memory.setbacks[each.key].may_repair(context.clock())]
    changed = await asyncio.to_thread(host.change, ours) if ours else None
    if changed is not None:
        for each in changed.made:
            memory.setbacks[each.key] = mended(memory.setbacks[each.key], context.clock())
            context.journal.tell(messages.SYSCTL_CHANGED, SYSCTL=each.key, FROM=each.old, TO=each.new)
        if changed.unrecorded:
            context.journal.tell(messages.HOST_UNRECORDED, REASON=changed.unrecorded)
    wrong = in_words(changed.refused if changed else {}, [each for each in differing if each not in ours])
    if wrong:
        context.standing.begin(messages.HOST_SETTING, wrong)
    else:
        context.standing.end(messages.HOST_SETTING)


def _remember(context: Context, differing: Iterable[Change]) -> None:
    """Count what differs anew, and forget what has been well for long."""
    setbacks, now_s = context.memory.setbacks, context.clock()
    keys = {each.key for each in differing}
    for key in [key for key in setbacks if key not in keys]:
        setbacks[key] = calmed(mended(setbacks[key], now_s), POLICY, now_s)
        if over(setbacks[key], POLICY, now_s):
            del setbacks[key]
    for key in keys:
        setbacks[key] = undone(setbacks.get(key), POLICY, now_s)


def in_words(refused: Mapping[Change, str], insisted: Iterable[Change]) -> str:
    """Key, value, wanted, and what to do, of settings that could not be made and of those that somebody sets back."""
    parts = (
        (
            {change: f" ({error})" for change, error in refused.items()},
            "put them into /etc/sysctl.d (balanced units / does for IPVS), then systemctl restart systemd-sysctl",
        ),
        (
            dict.fromkeys(insisted, ""),
            "somebody sets that back again and again, so it is left so: grep for it in /etc/sysctl.d, tuned profiles",
        ),
    )
    return "; ".join(f"{_listed(changes)}: {remedy}" for changes, remedy in parts if changes)


def _listed(changes: Mapping[Change, str]) -> str:
    told = [f"{each.key.replace('/', '.')} is {each.old} instead of {each.new}{why}" for each, why in changes.items()]
    more = f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    return ", ".join(told[:MOST_TOLD]) + more
