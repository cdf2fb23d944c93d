"""Snapshots of all sources -> one desired state inside our pools."""

import operator
from collections.abc import Iterable, Mapping

from appliance.model.address import Network
from appliance.model.desired import Desired, DesiredService, Note, Problem, Snapshot
from appliance.model.service import ServiceKey

NOBODY: Mapping[ServiceKey, str] = {}


def merge(
    snapshots: Iterable[Snapshot],
    pools: Iterable[Network],
    owners: Mapping[ServiceKey, str] = NOBODY,
    *,
    guarded: bool = True,
) -> Desired:
    """Put the sources together; refuse what lies outside ``pools`` and second claims to one VIP:port.

    ``owners`` says who held each key so far: a holder that still claims the key keeps it, whatever the order of the
    claims, so that a newcomer never takes a live VIP:port away. Without a holder the first claim wins. Everything
    refused becomes a Problem that names the place; everything else is untouched by it. Where no guard enforces source
    ranges and limits of new flows (``guarded`` False), each service that has some becomes a Note.
    """
    networks = tuple(pools)
    problems: list[Problem] = []
    notes: list[Note] = []
    claims: dict[ServiceKey, list[DesiredService]] = {}
    for snapshot in snapshots:
        problems.extend(snapshot.problems)
        notes.extend(snapshot.notes)
        for service in snapshot.services:
            if any(service.key.vip in network for network in networks):
                claims.setdefault(service.key, []).append(service)
            else:
                problems.append(_outside(service, networks))
    services: dict[ServiceKey, DesiredService] = {}
    for key, claimants in claims.items():
        holder = next((claim for claim in claimants if claim.owner == owners.get(key)), claimants[0])
        services[key] = holder
        problems.extend(_duplicate(claim, holder) for claim in claimants if claim is not holder)
    if not guarded:
        notes.extend(_unenforced(service) for service in services.values() if _wants_guard(service))
    return Desired(services, tuple(problems), tuple(notes))


def replaced(desired: Desired, before: Iterable[Snapshot], after: Iterable[Snapshot]) -> Desired | None:
    """What merge would make of ``after``, worked out from what it made of ``before``; None where only merge can tell.

    That is so unless every service stands where it stood, at the same key and of the same owner. Backends that come and
    go leave all that as it is, and they are nearly all that ever happens: their cost must not grow with the table.
    """
    fresh: dict[ServiceKey, DesiredService] = {}
    for old, new in zip(before, after, strict=True):
        if old is new:
            continue
        if len(old.services) != len(new.services) or (old.problems, old.notes) != (new.problems, new.notes):
            return None
        for was, now in zip(old.services, new.services, strict=True):
            if was is now:
                continue
            if (was.key, was.owner, was.origin) != (now.key, now.owner, now.origin):
                return None
            if _wants_guard(was) != _wants_guard(now):
                return None
            if desired.services.get(was.key) is was:
                fresh[was.key] = now
    return Desired({**desired.services, **fresh}, desired.problems, desired.notes)


def changes(
    before: Mapping[ServiceKey, DesiredService], after: Mapping[ServiceKey, DesiredService]
) -> dict[ServiceKey, tuple[DesiredService | None, DesiredService | None]]:
    """The services that are not the same objects before and after: each as it was and as it is, None where it is not.

    Sources hand on an unchanged service as the same object, so no values need to be compared.
    """
    if len(before) == len(after) and all(map(operator.is_, before, after)):
        # The same keys in the same order: no key needs to be hashed, which is most of the cost of what follows.
        pairs = zip(after, before.values(), after.values(), strict=True)
        return {key: (old, new) for key, old, new in pairs if old is not new}
    gone = {key: (old, None) for key, old in before.items() if key not in after}
    return gone | {key: (before.get(key), new) for key, new in after.items() if before.get(key) is not new}


def _outside(service: DesiredService, pools: tuple[Network, ...]) -> Problem:
    listed = ", ".join(str(pool) for pool in pools) or "none"
    return Problem(
        _where(service, "vip"),
        f"{service.key.vip} is outside the pools of this node",
        f"take an address in {listed}, or add its network to pools in appliance.yaml",
        service.owner,
        in_cluster=not service.origin,
    )


def _duplicate(claim: DesiredService, holder: DesiredService) -> Problem:
    other = f"{holder.owner} at {holder.origin}" if holder.origin else holder.owner
    return Problem(
        _where(claim, "vip"),
        f"{claim.key} is already taken by {other}",
        "give one of the two another port or VIP",
        claim.owner,
        in_cluster=not claim.origin,
    )


def _wants_guard(service: DesiredService) -> bool:
    return bool(service.source_ranges) or service.new_flows_per_s is not None


def _unenforced(service: DesiredService) -> Note:
    # Whoever writes them relies on them: that nothing enforces them must not be found out by an attacker first.
    return Note(
        _where(service, "source ranges and limits of new flows"),
        f"everybody reaches {service.key}, as often as he likes: this node's guard is disabled",
        "guard.enabled: true, or put a packet filter in front of it",
        service.owner,
        in_cluster=not service.origin,
    )


def _where(service: DesiredService, key: str) -> str:
    return f"{service.origin}: {key}" if service.origin else f"service {service.owner}: {key}"
