"""What a change of the desired state would do to a node, as values that can be printed. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.decide.diff import DrainPolicy, diff_link, diff_services
from appliance.decide.expect import expect
from appliance.decide.merge import changes
from appliance.director.words import what
from appliance.model.address import Address, Network
from appliance.model.desired import Backend, Desired, DesiredService
from appliance.model.observed import Observed, ObservedLink, ObservedService
from appliance.model.service import ServiceKey


@dataclass(frozen=True, slots=True)
class Change:
    """One service that is ``added``, ``removed`` or ``changed``, and what of it."""

    change: str
    service: str
    owner: str
    what: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The way from one desired state to the next. ``plan`` are the steps in words, in their order.

    ``against`` says what they start from: ``kernel``, or ``previous state`` where that cannot be read. ``refused`` and
    ``notes`` are the whole state's.
    """

    services: int
    vips: int
    changes: tuple[Change, ...]
    plan: tuple[str, ...]
    against: str
    refused: tuple[str, ...]
    notes: tuple[str, ...]


def preview(before: Desired, after: Desired, kernel: Observed | None, pools: tuple[Network, ...]) -> Preview:
    """What changes from ``before`` to ``after``, and what a director would do; ``kernel`` is None if not readable.

    A director also waits: for the drain of backends, and with a teardown for routers to hear of it (I2).
    """
    have = kernel or Observed(expect(before), ObservedLink(present=True, up=True, addresses=before.vips))
    return Preview(
        services=len(after.services),
        vips=len(after.vips),
        changes=tuple(_changes(before.services, after.services)),
        plan=tuple(_plan(after, have, pools)),
        against="kernel" if kernel is not None else "previous state",
        refused=tuple(map(str, after.problems)),
        notes=tuple(map(str, after.notes)),
    )


def _plan(desired: Desired, have: Observed, pools: tuple[Network, ...]) -> Iterator[str]:
    owned: Mapping[ServiceKey, ObservedService] = {
        key: each for key, each in have.services.items() if _inside(key.vip, pools)
    }
    services = diff_services(
        expect(desired),
        owned,
        wanted_vips=desired.vips,
        live_vips=frozenset(),
        # Whatever drains now is seen to drain: nothing is over yet.
        drain=DrainPolicy(time_s=1.0),
    )
    standing = frozenset(vip for vip in have.link.addresses if _inside(vip, pools))
    build, teardown = diff_link(desired.vips, have.link, standing)
    yield from map(what, (*services.build, *build, *services.teardown, *teardown))


def _changes(
    before: Mapping[ServiceKey, DesiredService], after: Mapping[ServiceKey, DesiredService]
) -> Iterator[Change]:
    changed = changes(before, after)
    for key in sorted(changed, key=lambda each: each.order):
        old, new = changed[key]
        if new is None and old is not None:
            yield Change("removed", str(key), old.owner, "")
        elif new is not None and old is None:
            yield Change("added", str(key), new.owner, f"{new.scheduler}, {new.ready} of {len(new.backends)} ready")
        elif old is not None and new is not None and old != new:
            yield Change("changed", str(key), new.owner, ", ".join(_differences(old, new)))


def _differences(old: DesiredService, new: DesiredService) -> Iterator[str]:
    for name in ("owner", "scheduler", "persistence_s", "drain_s", "new_flows_per_s"):
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield f"{name} {was} -> {now}"
    if old.source_ranges != new.source_ranges:
        yield f"source ranges {_ranges(old)} -> {_ranges(new)}"
    if old.flags != new.flags:
        yield f"flags {int(old.flags):#x} -> {int(new.flags):#x}"
    if old.tunnel != new.tunnel:
        yield f"tunnel {old.tunnel} -> {new.tunnel}"
    if old.announce is not new.announce:
        yield f"announce {old.announce.value} -> {new.announce.value}"
    were = {each.address: each for each in old.backends}
    are = {each.address: each for each in new.backends}
    yield from (f"backend {address} gone" for address in were if address not in are)
    for address, backend in are.items():
        was_backend = were.get(address)
        if was_backend != backend:
            yield f"backend {address} {_state(was_backend)} -> {_state(backend)}"


def _ranges(service: DesiredService) -> str:
    return ", ".join(map(str, service.source_ranges)) or "all"


def _state(backend: Backend | None) -> str:
    if backend is None:
        return "new"
    return f"weight {backend.weight}" if backend.ready else "not ready"


def _inside(address: Address, pools: tuple[Network, ...]) -> bool:
    return any(address in network for network in pools)
