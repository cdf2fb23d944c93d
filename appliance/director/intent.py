"""From snapshots to the expected reading of the kernel."""

from appliance.decide.expect import backend_subnets, expect
from appliance.decide.merge import merge
from appliance.director.context import Context
from appliance.model.address import Address
from appliance.model.desired import Snapshot
from appliance.model.service import ServiceKey


def accept(context: Context, name: str, snapshot: Snapshot) -> None:
    """Take a complete snapshot of the source ``name`` and wake a pass over what it changes."""
    memory, settings = context.memory, context.settings
    memory.snapshots[name] = snapshot
    if memory.snapshots.keys() != context.ports.sources.keys():
        return  # what the others want is not known yet, and nobody's silence means that it wants nothing (I3)
    owners = {key: service.owner for key, service in memory.desired.services.items()} if memory.desired else {}
    ordered = [memory.snapshots[each] for each in context.ports.sources]
    memory.desired = merge(ordered, settings.networks, owners)
    services = memory.desired.services.values()
    memory.subnets = backend_subnets(services, settings.route_prefix_v4, settings.route_prefix_v6)
    memory.routes_known = False
    refresh(context)
    if memory.desired.problems:
        first, *others = memory.desired.problems
        more = f" (and {len(others)} more, see balanced status)" if others else ""
        context.standing.begin("desired state", f"refused: {first}{more}")
    else:
        context.standing.end("desired state")


def refresh(context: Context) -> None:
    """Work out the expected reading anew; services whose expectation changed are due for work, not for repair."""
    memory = context.memory
    if memory.desired is None:
        return
    before, after = memory.expected, expect(memory.desired, memory.unroutable)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    by_vip: dict[Address, list[ServiceKey]] = {}
    for key in after:
        by_vip.setdefault(key.vip, []).append(key)
    memory.expected = after
    memory.by_vip = {vip: tuple(keys) for vip, keys in by_vip.items()}
    memory.changed |= changed
    context.wakes.services(changed)
