"""Somebody else changes in BIRD what is ours: put right once, and left alone when it is done again (fault 36).

Only what BIRD was read to do, and does no more although nobody here asked for that, was undone. What BIRD holds and
must not is never left alone.
"""

from math import inf

from appliance.decide.fight import FightPolicy, mended, over, undone
from appliance.director.context import Context
from appliance.model.routing import Announcement, Routing
from appliance.telemetry import messages

POLICY = FightPolicy(undoings=2, window_s=300.0, first_s=inf, longest_s=inf, calm_s=300.0)


def stands(context: Context, wanted: Announcement) -> bool:
    """Whether BIRD was read to do just what it should; remembers that it did."""
    memory, now_s = context.memory, context.clock()
    if memory.routing is None or not wanted.stands_in(memory.routing):
        return False
    memory.stood = wanted
    if memory.rivalry is not None:
        memory.rivalry = mended(memory.rivalry, now_s) if memory.rivalry.broken else memory.rivalry
        if over(memory.rivalry, POLICY, now_s):
            memory.rivalry = None
    context.standing.end(messages.BIRD_RIVAL)
    return True


def left_alone(context: Context, wanted: Announcement) -> bool:
    """Whether BIRD, which does not do what it should, is left as somebody else wants it; then a condition says so."""
    memory, now_s = context.memory, context.clock()
    routing = memory.routing
    if routing is None:
        return False
    same = memory.stood == wanted
    if same:
        memory.rivalry = undone(memory.rivalry, POLICY, now_s)
    # A protocol that somebody disabled stays so also when something else is to be announced.
    theirs = memory.rivalry is not None and not memory.rivalry.may_repair(now_s) and (same or bool(routing.disabled))
    if not theirs or routing.held - wanted.vips:
        return False
    context.standing.begin(messages.BIRD_RIVAL, describe(routing, wanted))
    return True


def describe(routing: Routing, wanted: Announcement) -> str:
    """What was done to BIRD, what follows, and what to do."""
    missing = len(wanted.vips - routing.held)
    if routing.disabled:
        names = " and ".join(sorted(routing.disabled))
        commands = "; ".join(f"birdc enable {name}" for name in sorted(routing.disabled))
        return (
            f"somebody has disabled {names} in BIRD again after it was enabled: {missing} VIPs are not announced by "
            f"this node, and the director leaves it so until: {commands}; to empty a node use balanced drain"
        )
    return (
        f"somebody makes BIRD go back from what it was given, and has done so again: {missing} VIPs are not announced "
        "by this node; find who runs birdc configure undo or writes to the include directory, then: birdc configure"
    )
