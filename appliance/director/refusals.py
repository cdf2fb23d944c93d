"""What is done about parts of the desired state that are refused: whose mistake it is decides who hears of it.

The operator's own are a condition of the node. Those in a cluster are its users': a Service of anybody's must not make
a node look broken. They are told by an Event, counted, listed in the status, and leave one line in the journal.
"""

from collections.abc import Collection

from appliance.director.context import Context
from appliance.model.desired import Problem
from appliance.telemetry import messages

# Above this many new ones at once the journal gets their number, not a line for each.
MAX_TOLD = 20


def take(context: Context, before: Collection[Problem]) -> None:
    """The desired state is new; ``before`` are the problems of the one that it replaces."""
    problems = context.memory.desired.problems if context.memory.desired else ()
    if problems is before:
        return
    _tell_condition(context, [problem for problem in problems if not problem.in_cluster])
    known = frozenset(before)
    fresh = [problem for problem in problems if problem.in_cluster and problem not in known]
    for problem in fresh[:MAX_TOLD]:
        context.journal.tell(messages.REFUSED, OWNER=problem.owner, REASON=problem)
    if len(fresh) > MAX_TOLD:
        context.journal.tell(messages.REFUSED, REASON=f"{len(fresh) - MAX_TOLD} more, see balanced status")


def _tell_condition(context: Context, problems: list[Problem]) -> None:
    if not problems:
        context.standing.end(messages.DESIRED_STATE)
        return
    first, *others = problems
    more = f" (and {len(others)} more, see balanced status)" if others else ""
    context.standing.begin(messages.DESIRED_STATE, f"refused: {first}{more}")
