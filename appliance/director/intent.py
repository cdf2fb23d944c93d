"""From snapshots to the expected reading of the kernel."""

from collections.abc import Mapping

from appliance.decide.expect import expect
from appliance.decide.merge import merge
from appliance.decide.reach import backend_subnets
from appliance.director.context import Context
from appliance.model.address import Address
from appliance.model.desired import DesiredService, Snapshot
from appliance.model.service import ServiceKey


def accept(context: Context, name: str, snapshot: Snapshot) -> None:
    """Take a complete snapshot of the source ``name`` and wake a pass over what it changes."""
    memory, settings = context.memory, context.settings
    memory.snapshots[name] = snapshot
    if memory.snapshots.keys() != context.ports.sources.keys():
        return  # what the others want is not known yet, and nobody's silence means that it wants nothing (I3)
    before = memory.desired.services if memory.desired else {}
    owners = {key: service.owner for key, service in before.items()}
    ordered = [memory.snapshots[each] for each in context.ports.sources]
    memory.desired = merge(ordered, settings.networks, owners)
    backends = {backend.address for service in memory.desired.services.values() for backend in service.backends}
    memory.subnets = backend_subnets(backends, settings.route_prefix_v4, settings.route_prefix_v6)
    memory.routes_known = False
    _take_drain_times(context, memory.desired.services)
    context.wakes.services(_changed_terms(before, memory.desired.services))
    refresh(context)
    if memory.desired.problems:
        first, *others = memory.desired.problems
        more = f" (and {len(others)} more, see balanced status)" if others else ""
        context.standing.begin("desired state", f"refused: {first}{more}")
    else:
        context.standing.end("desired state")


def _take_drain_times(context: Context, services: Mapping[ServiceKey, DesiredService]) -> None:
    """Remember drain times of the services' own; those of a service that is gone hold until it has left the kernel."""
    memory = context.memory
    gone = {
        key: time_s for key, time_s in memory.drain_times_s.items() if key in memory.services and key not in services
    }
    own = {key: service.drain_s for key, service in services.items() if service.drain_s is not None}
    memory.drain_times_s = gone | own


def _changed_terms(
    before: Mapping[ServiceKey, DesiredService], after: Mapping[ServiceKey, DesiredService]
) -> set[ServiceKey]:
    """Services to be judged or drained in another way, even where the expected reading is as before."""
    both = ((key, before[key], service) for key, service in after.items() if key in before)
    return {key for key, old, new in both if old is not new and _terms(old) != _terms(new)}


def _terms(service: DesiredService) -> tuple[object, ...]:
    return service.announce, service.drain_s, service.ready


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
