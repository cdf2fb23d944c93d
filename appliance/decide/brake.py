"""The brake: a list that lacks most of what is in force is doubted before it is obeyed. Pure.

A source tells losses in two ways. An event names one thing that went: it is obeyed at once. A list (the first one, one
after an interruption, a directory read) only leaves things out, and so does a list that an API server in trouble cut
short, or a directory that is half copied. Where a list takes most VIPs at once, its additions and changes apply, and
what it lacks stays as it was, until the loss has lasted, a person confirms it, or the source takes it back.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from appliance.model.address import Address, address_order
from appliance.model.desired import Announce, DesiredService, Snapshot
from appliance.model.service import ServiceKey

Claims = Mapping[ServiceKey, DesiredService]


@dataclass(frozen=True, slots=True)
class BrakePolicy:
    """When a loss is doubted, and for how long (seconds).

    It takes more than ``max_withdraw_fraction`` of the source's VIPs, and at least ``min_vips``; a list without any
    service of ours is doubted whatever it takes. A fraction of 1 disables the brake. A service has enough backends with
    ``min_backends``.
    """

    max_withdraw_fraction: float = 0.5
    min_vips: int = 3
    confirm_after_s: float = 300.0
    min_backends: int = 1


@dataclass(frozen=True, slots=True)
class Withheld:
    """A service that stays as it was, and since when its loss is heard; None while the source is silent.

    ``named`` is whether the source still names it, without enough backends.
    """

    service: DesiredService
    since_s: float | None
    named: bool


@dataclass(frozen=True, slots=True)
class BrakeState:
    """What a source says itself, and what of it is not obeyed yet."""

    said: Snapshot
    withheld: Mapping[ServiceKey, Withheld] = field(default_factory=dict)

    @property
    def vips(self) -> frozenset[Address]:
        """The VIPs of what is withheld."""
        return frozenset(key.vip for key in self.withheld)

    def in_force(self) -> Snapshot:
        """What the source says, with everything that is withheld in its old place: at the end where it has none."""
        if not self.withheld:
            return self.said
        rest = dict(self.withheld)
        services = []
        for service in self.said.services:
            if service.key not in self.withheld:
                services.append(service)
            elif service.key in rest:
                services.append(rest.pop(service.key).service)
        return replace(self.said, services=(*services, *(each.service for each in rest.values())))


def hear(
    state: BrakeState | None,
    before: Snapshot | None,
    said: Snapshot,
    policy: BrakePolicy,
    *,
    owned: Callable[[Address], bool],
    now_s: float,
) -> BrakeState:
    """The state after the source has said something.

    Without a loss that is withheld, what is no list costs nothing.

    Args:
        state: the state after what it said before; None where nothing is withheld.
        before: what is in force of the source; None where nothing is.
        said: what it says.
        policy: when to doubt it.
        owned: whether a VIP is ours; nobody else's can be lost.
        now_s: the time, on a clock that does not jump.
    """
    withheld = state.withheld if state is not None else {}
    if not withheld and not (said.listed and before is not None):
        return BrakeState(said)
    claims = _claims(said.services, policy)
    kept = {
        key: Withheld(each.service, now_s if each.since_s is None else each.since_s, key in claims)
        for key, each in withheld.items()
        if _is_lost(each.service, claims, policy) and not (each.named and key not in claims and not said.listed)
    }
    if said.listed and before is not None:
        ours = [service for service in before.services if owned(service.key.vip)]
        lost = [service for service in ours if _is_lost(service, claims, policy)]
        nothing_left = not any(owned(key.vip) for key in claims)
        if _is_doubtful(ours, lost, claims, policy, nothing_left=nothing_left):
            fresh = {each.key: Withheld(each, now_s, each.key in claims) for each in lost}
            kept = fresh | kept
    return BrakeState(said, kept)


def silent(state: BrakeState) -> BrakeState:
    """The state once the source cannot be heard: its losses last only while it says so."""
    return replace(state, withheld={key: replace(each, since_s=None) for key, each in state.withheld.items()})


def lasting(state: BrakeState, policy: BrakePolicy, now_s: float) -> frozenset[ServiceKey]:
    """What is withheld and has been lost for so long that it is to be believed."""
    return frozenset(
        key
        for key, each in state.withheld.items()
        if each.since_s is not None and now_s - each.since_s >= policy.confirm_after_s
    )


def let_go(state: BrakeState, keys: Collection[ServiceKey]) -> BrakeState:
    """The state once these losses are believed; what was said long ago is taken as said now."""
    rest = {key: each for key, each in state.withheld.items() if key not in keys}
    return BrakeState(replace(state.said, seen_s=None), rest)


def describe(state: BrakeState, policy: BrakePolicy) -> str:
    """What is withheld, why, and what to do about it."""
    vips = state.vips
    first, others = min(vips, key=address_order), len(vips) - 1
    more = f" and {others} more" if others else ""
    count = f"{others + 1} VIP{'s' if others else ''}"
    return (
        f"a list leaves out {count} or all of their backends at once ({first}{more}): they stay as they were until it "
        f"has said so for {policy.confirm_after_s:g} s. If that is meant: balanced confirm"
    )


def _claims(services: Iterable[DesiredService], policy: BrakePolicy) -> Claims:
    """The claim to each key: the first that has enough backends, else the first."""
    found: dict[ServiceKey, DesiredService] = {}
    for service in services:
        known = found.setdefault(service.key, service)
        if known is not service and not _has_enough(known, policy) and _has_enough(service, policy):
            found[service.key] = service
    return found


def _has_enough(service: DesiredService, policy: BrakePolicy) -> bool:
    return service.announce is Announce.ALWAYS or service.ready >= policy.min_backends


def _is_lost(service: DesiredService, claims: Claims, policy: BrakePolicy) -> bool:
    """Whether the service is gone, or has lost the backends that it had."""
    claim = claims.get(service.key)
    if claim is service:
        return False
    return claim is None or (_has_enough(service, policy) and not _has_enough(claim, policy))


def _is_doubtful(
    before: Collection[DesiredService],
    lost: Collection[DesiredService],
    claims: Claims,
    policy: BrakePolicy,
    *,
    nothing_left: bool,
) -> bool:
    """Whether the loss takes so many VIPs that the list may be wrong."""
    if not lost or policy.max_withdraw_fraction >= 1:
        return False
    served = _served(before, policy)
    concerned = {service.key.vip for service in lost} & served
    gone = concerned - _served((each for key, each in claims.items() if key.vip in concerned), policy)
    many = len(gone) >= policy.min_vips and len(gone) > policy.max_withdraw_fraction * len(served)
    return many or (nothing_left and bool(gone))


def _served(services: Iterable[DesiredService], policy: BrakePolicy) -> set[Address]:
    """The VIPs that these services let be announced, as far as it is up to their backends."""
    served: set[Address] = set()
    barred: set[Address] = set()
    for service in services:
        if _has_enough(service, policy):
            served.add(service.key.vip)
        elif service.announce is Announce.ALL:
            barred.add(service.key.vip)
    return served - barred
