"""How full the pools are, and whose Services hold what."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from appliance.decide.ledger import Ledger
from appliance.model.claim import Claim, Grant


@dataclass(frozen=True, slots=True)
class RangeUse:
    """One range of a pool. ``size`` counts what it gives by itself; what it does not may be ``used`` all the same."""

    pool: str
    range: str
    size: int
    used: int
    free: int
    namespaces: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """A Service that does not get what it asks for."""

    service: str
    reason: str
    text: str


def occupancy(ledger: Ledger) -> tuple[RangeUse, ...]:
    """Every range of every pool, in the order in which they give. A shared address counts once for each namespace."""
    used: Counter[int] = Counter()
    drawn: Counter[int] = Counter()
    namespaces: dict[int, Counter[str]] = {}
    for address, owners in ledger.holders.items():
        supply = ledger.supply_of(address)
        if supply is None:
            continue
        place = id(supply)
        used[place] += 1
        drawn[place] += supply.gives(address)
        namespaces.setdefault(place, Counter()).update({owner.partition("/")[0] for owner in owners})
    return tuple(
        RangeUse(
            pool=each.pool.name,
            range=str(each.range),
            size=each.size,
            used=used[id(each)],
            free=each.size - drawn[id(each)],
            namespaces=dict(sorted(namespaces.get(id(each), Counter()).items())),
        )
        for each in ledger.supplies()
    )


def refused(grants: Mapping[str, Grant]) -> tuple[Refused, ...]:
    """Everything that is refused, by Service."""
    return tuple(
        Refused(owner, refusal.reason.value, refusal.text)
        for owner, grant in sorted(grants.items())
        for refusal in grant.refusals
    )


@dataclass(frozen=True, slots=True)
class Change:
    """One status that would be written: what the Service holds, and what it is to hold."""

    service: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def changes(claims: Iterable[Claim], grants: Mapping[str, Grant]) -> tuple[Change, ...]:
    """Every status that would be written, the oldest Service first."""
    return tuple(
        Change(claim.owner, tuple(map(str, claim.held)), tuple(map(str, grants[claim.owner].addresses)))
        for claim in sorted(claims, key=lambda each: each.order)
        if must_write(claim, grants[claim.owner])
    )


def must_write(claim: Claim, grant: Grant) -> bool:
    """Whether the status differs from what the Service is to have; the order of its addresses is no difference."""
    if grant.hands_off:
        return False
    return set(claim.held) != set(grant.addresses) or (claim.has_other_mode and bool(grant.addresses))
