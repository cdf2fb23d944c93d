"""Which backends are probed: kept in step with what the sources want."""

from collections.abc import Iterable

from appliance.decide.check import targets
from appliance.director.context import Context
from appliance.model.service import ServiceKey


def follow(context: Context, changed: Iterable[ServiceKey]) -> None:
    """Have the backends of these services probed that are ready now, and no others; a verdict goes with its target."""
    memory, prober = context.memory, context.ports.prober
    if prober is None:
        return
    services = memory.desired.services if memory.desired else {}
    for key in changed:
        before = memory.probed.pop(key, frozenset())
        after = targets(services[key]) if key in services else frozenset()
        if after:
            memory.probed[key] = after
        gone = before - after
        memory.unsettled |= before != after
        prober.follow(after - before, gone)
        memory.unsent -= gone
        for target in gone:
            memory.checks.pop(target, None)
        left = memory.failing.pop(key, frozenset()) - {target.backend for target in gone}
        if left:
            memory.failing[key] = left
