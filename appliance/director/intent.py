"""From snapshots to the expected reading of the kernel."""

from collections.abc import Iterable, Mapping

from appliance.decide import guard
from appliance.decide.expect import expect_service
from appliance.decide.merge import changes, merge, replaced
from appliance.decide.reach import backend_subnets
from appliance.director import refusals
from appliance.director.context import Context
from appliance.director.targets import follow
from appliance.model.address import Address, Network
from appliance.model.desired import Desired, DesiredService, Snapshot
from appliance.model.service import ServiceKey

Change = tuple[DesiredService | None, DesiredService | None]


def accept(context: Context, name: str, snapshot: Snapshot) -> None:
    """Take a complete snapshot of the source ``name`` and wake a pass over what it changes."""
    memory = context.memory
    known = [memory.snapshots.get(each) for each in context.ports.sources]
    memory.snapshots[name] = snapshot
    if memory.snapshots.keys() != context.ports.sources.keys():
        return  # what the others want is not known yet, and nobody's silence means that it wants nothing (I3)
    before, refused = (memory.desired.services, memory.desired.problems) if memory.desired else ({}, ())
    memory.desired = _merged(context, [each for each in known if each is not None])
    memory.generation += 1
    changed = changes(before, memory.desired.services)
    _count_subnets(context, changed.values())
    _take_drain_times(context, memory.desired.services)
    memory.guard.due |= any(guard.terms(old) != guard.terms(new) for old, new in changed.values())
    context.wakes.services(key for key, change in changed.items() if _has_other_terms(*change))
    follow(context, changed)
    _refresh(context, changed)
    context.record.asked(changed, snapshot.seen_s)
    refusals.take(context, refused)


def _merged(context: Context, before: list[Snapshot]) -> Desired:
    """All sources in one, from the ``before`` that led to the last such state if there is one."""
    memory = context.memory
    ordered = [memory.snapshots[each] for each in context.ports.sources]
    guarded = context.ports.guard is not None
    if memory.desired is None:
        return merge(ordered, context.settings.networks, guarded=guarded)
    again = replaced(memory.desired, before, ordered)
    if again is not None:
        return again
    owners = {key: service.owner for key, service in memory.desired.services.items()}
    return merge(ordered, context.settings.networks, owners, guarded=guarded)


def _count_subnets(context: Context, changed: Iterable[Change]) -> None:
    """Keep count of the services that have backends in each subnet; routes to a new set of subnets are looked up."""
    memory = context.memory
    for before, after in changed:
        memory.reach.subtract(_subnets(context, before))
        memory.reach.update(_subnets(context, after))
    subnets = frozenset(network for network, services in memory.reach.items() if services)
    if subnets != memory.subnets:
        memory.subnets = subnets
        memory.reach = +memory.reach
        memory.routes_known = False


def _subnets(context: Context, service: DesiredService | None) -> frozenset[Network]:
    settings = context.settings
    addresses = [backend.address for backend in service.backends] if service is not None else []
    return backend_subnets(addresses, settings.route_prefix_v4, settings.route_prefix_v6)


def _take_drain_times(context: Context, services: Mapping[ServiceKey, DesiredService]) -> None:
    """Remember drain times of the services' own; those of a service that is gone hold until it has left the kernel."""
    memory = context.memory
    gone = {
        key: time_s for key, time_s in memory.drain_times_s.items() if key in memory.services and key not in services
    }
    own = {key: service.drain_s for key, service in services.items() if service.drain_s is not None}
    memory.drain_times_s = gone | own


def _has_other_terms(before: DesiredService | None, after: DesiredService | None) -> bool:
    """Whether the service is to be judged or drained in another way, even where the expected reading is as before."""
    return before is not None and after is not None and _terms(before) != _terms(after)


def _terms(service: DesiredService) -> tuple[object, ...]:
    return service.announce, service.drain_s, service.ready, guard.terms(service)


def refresh(context: Context, keys: Iterable[ServiceKey] | None = None) -> None:
    """Work out the expected reading of these services anew, by default of all: who can be reached has changed."""
    if context.memory.desired is not None:
        _refresh(context, context.memory.desired.services if keys is None else keys)


def _refresh(context: Context, keys: Iterable[ServiceKey]) -> None:
    """Bring the expected reading of these services up to date; those that differ are due for work, not for repair."""
    memory = context.memory
    services = memory.desired.services if memory.desired else {}
    expected = dict(memory.expected)
    for key in keys:
        if key in services:
            expected[key] = expect_service(services[key], memory.unroutable, memory.failing.get(key, frozenset()))
        else:
            expected.pop(key, None)
    changed = {key for key in keys if expected.get(key) != memory.expected.get(key)}
    if not changed:
        return
    if any((key in expected) != (key in memory.expected) for key in changed):
        by_vip: dict[Address, list[ServiceKey]] = {}
        for key in services:
            by_vip.setdefault(key.vip, []).append(key)
        memory.by_vip = {vip: tuple(each) for vip, each in by_vip.items()}
    memory.expected = expected
    memory.changed |= changed
    context.wakes.services(changed)
