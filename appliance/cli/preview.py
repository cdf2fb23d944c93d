"""What a change of the desired state would do to a node, as values that can be printed. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from appliance.decide import ownership
from appliance.decide.diff import DrainPolicy, diff_link, diff_services
from appliance.decide.expect import expect
from appliance.decide.guard import GuardPolicy, guard
from appliance.decide.guard import steps as guard_steps
from appliance.decide.merge import changes
from appliance.director.words import what
from appliance.model.address import Address, Network
from appliance.model.desired import Backend, Desired, DesiredService
from appliance.model.guard import ObservedGuard, Refusal
from appliance.model.observed import Observed, ObservedLink, ObservedService
from appliance.model.plan import Step
from appliance.model.service import ServiceKey


@dataclass(frozen=True, slots=True)
class Change:
    """One service that is ``added``, ``removed`` or ``changed``, and what of it."""

    change: str
    service: str
    owner: str
    what: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of this node. ``claimed`` are the services that its directors made, None without their record.

    ``guard`` is None where it is disabled or was not read.
    """

    kernel: Observed
    claimed: Collection[ServiceKey] | None = None
    guard: ObservedGuard | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """The way from one desired state to the next. ``plan`` are the steps in words, in their order.

    ``against`` says what they start from: ``kernel``, or ``previous state`` where that cannot be read. ``foreign`` says
    which services in our pools somebody else made: no step touches them. ``refused`` and ``notes`` are those of the
    whole state.
    """

    services: int
    vips: int
    changes: tuple[Change, ...]
    plan: tuple[str, ...]
    against: str
    foreign: str
    refused: tuple[str, ...]
    notes: tuple[str, ...]


def preview(
    before: Desired,
    after: Desired,
    reading: Reading | None,
    pools: tuple[Network, ...],
    refusal: Refusal = Refusal.DROP,
) -> Preview:
    """What changes from ``before`` to ``after``, and what a director would do; ``reading`` is None if there is none.

    A director also waits: for the drain of backends, and with a teardown for routers to hear of it (I2).
    """
    link = ObservedLink(present=True, up=True, addresses=before.vips)
    have = reading or Reading(Observed(expect(before), link), before.services.keys())
    wanted = expect(after)
    owned = {key: each for key, each in have.kernel.services.items() if _inside(key.vip, pools)}
    foreign = ownership.strangers(owned, wanted, have.claimed)
    kernel = replace(have.kernel, services=_without(owned, foreign))
    steps = [*map(what, _plan(after.vips, _without(wanted, foreign), kernel, pools))]
    if have.guard is not None:
        own = frozenset(address for address in kernel.link.elsewhere if _inside(address, pools))
        policy = GuardPolicy(pools, own, refusal)
        let_in = guard(after.services.values(), policy)
        steps = [*guard_steps(let_in, have.guard.guard), *steps]
    return Preview(
        services=len(after.services),
        vips=len(after.vips),
        changes=tuple(_changes(before.services, after.services)),
        plan=tuple(steps),
        against="kernel" if reading is not None else "previous state",
        foreign=ownership.in_words(foreign, after.services) if foreign else "",
        refused=tuple(map(str, after.problems)),
        notes=tuple(map(str, after.notes)),
    )


def _plan(
    vips: frozenset[Address],
    wanted: Mapping[ServiceKey, ObservedService],
    have: Observed,
    pools: tuple[Network, ...],
) -> Iterator[Step]:
    services = diff_services(
        wanted,
        have.services,
        wanted_vips=vips,
        live_vips=frozenset(),
        # Whatever drains now is seen to drain: nothing is over yet.
        drain=DrainPolicy(time_s=1.0),
    )
    standing = frozenset(vip for vip in have.link.addresses if _inside(vip, pools))
    build, teardown = diff_link(vips, have.link, standing)
    yield from (*services.build, *build, *services.teardown, *teardown)


def _without(
    services: Mapping[ServiceKey, ObservedService], left_out: Collection[ServiceKey]
) -> dict[ServiceKey, ObservedService]:
    return {key: each for key, each in services.items() if key not in left_out}


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
    if old.kube_proxy_too != new.kube_proxy_too:
        yield "ipMode Proxy -> VIP" if new.kube_proxy_too else "ipMode VIP -> Proxy"
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
