"""Which addresses a Service gets.

What a Service has it keeps, while it asks for nothing else and nobody else holds it by right; what it asks for is given
before what it has is taken. A pool's terms are for giving alone: an edit of the pools takes no address away.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from appliance.decide.ledger import Ledger
from appliance.decide.supply import Supply
from appliance.model.address import Address
from appliance.model.claim import Claim, Denial, Grant, Refusal, Want
from appliance.model.pool import AddressPool


def allocate(ledger: Ledger, claim: Claim) -> Grant:
    """What the Service is to have, by what all others hold; nothing is changed. See ``settle``."""
    ours = tuple(address for address in claim.held if ledger.supply_of(address) is not None)
    known = tuple(address for address in ours if not ledger.rival(address, claim))
    if claim.want is Want.FOREIGN:
        text = (
            "spec.loadBalancerClass names another implementation (leave the class out, or name one of this allocator)"
        )
        refusals = (Refusal(Denial.FOREIGN_CLASS, text),) if claim.asks_by_name else ()
        return Grant(known, refusals, hands_off=True)
    if claim.want is Want.KEEP:
        return Grant(known or ledger.held(claim.owner), hands_off=True)
    if claim.has_hostname or len(ours) < len(claim.held):
        text = "its status holds what is in no pool of this allocator (clear the status, or add the address to a pool)"
        refusals = (Refusal(Denial.FOREIGN_ADDRESS, text),) if claim.want is Want.ADDRESS else ()
        return Grant(known, refusals, hands_off=True)
    if claim.want is Want.NOTHING:
        return Grant()
    return _granted(ledger, claim)


def settle(ledger: Ledger, claim: Claim) -> tuple[Grant, tuple[Address, ...]]:
    """Allocate and enter it into the ledger; returns the addresses that nobody holds any more, too."""
    grant = allocate(ledger, claim)
    return grant, ledger.hold(claim, grant.addresses)


def adopt(ledger: Ledger, claims: Iterable[Claim]) -> None:
    """Enter what Services hold already, before anything is given: of two that exclude each other the older keeps it."""
    for claim in sorted(claims, key=lambda each: each.order):
        ledger.hold(claim, tuple(address for address in claim.held if not ledger.rival(address, claim)))


def open_ledger(pools: tuple[AddressPool, ...], claims: Iterable[Claim]) -> tuple[Ledger, dict[str, Grant]]:
    """A ledger after a complete list of Services, and what each of them is to have, by owner, the oldest first."""
    ordered = sorted(claims, key=lambda each: each.order)
    ledger = Ledger(pools)
    adopt(ledger, ordered)
    grants: dict[str, Grant] = {}
    has_freed = False
    for claim in ordered:
        grants[claim.owner], freed = settle(ledger, claim)
        has_freed = has_freed or bool(freed)
    while has_freed:
        # What was refused before something was freed may be had now.
        has_freed = False
        for claim in ordered:
            if grants[claim.owner].waits:
                grants[claim.owner], freed = settle(ledger, claim)
                has_freed = has_freed or bool(freed)
    return ledger, grants


@dataclass(frozen=True, slots=True)
class _Found:
    """An address, or why there is none."""

    address: Address | None
    refusal: Refusal | None = None


def _granted(ledger: Ledger, claim: Claim) -> Grant:
    found = [_of_version(ledger, claim, version) for version in claim.versions]
    addresses = tuple(each.address for each in found if each.address is not None)
    refusals = tuple(dict.fromkeys(each.refusal for each in found if each.refusal is not None))
    if claim.needs_all and len(addresses) < len(found):
        current = [_current(ledger, claim, version) for version in claim.versions]
        addresses = tuple(address for address in current if address is not None and address in claim.held)
    waits = bool(refusals)
    if not claim.needs_all and addresses:
        # Prefer dual stack: one of two will do, unless the other was asked for in so many words.
        refusals = tuple(each for each in refusals if each.reason in {Denial.REQUEST_UNMET, Denial.SHARING})
    return Grant(addresses, refusals, waits=waits)


def _of_version(ledger: Ledger, claim: Claim, version: int) -> _Found:
    current = _current(ledger, claim, version)
    requests = [address for address in claim.requests if address.version == version]
    is_asked = bool(requests) or (
        bool(claim.requests or claim.unreadable) and not any(each.version in claim.versions for each in claim.requests)
    )
    if is_asked:
        if current in requests and _is_in(ledger, claim.pool, current):
            return _Found(current)
        wanted = _requested(ledger, claim, requests)
    else:
        if current is not None and _is_in(ledger, claim.pool, current):
            return _Found(current)
        wanted = _any(ledger, claim, version)
    return wanted if wanted.address is not None else _Found(current, wanted.refusal)


def _current(ledger: Ledger, claim: Claim, version: int) -> Address | None:
    """What the Service has and may keep: by its status, otherwise by the ledger, which runs ahead of it."""
    for address in (*claim.held, *ledger.held(claim.owner)):
        if address.version == version and ledger.supply_of(address) is not None and not ledger.rival(address, claim):
            return address
    return None


def _is_in(ledger: Ledger, pool: str, address: Address) -> bool:
    """Whether the address is in the pool, or range, that was named; any will do where none was."""
    supply = ledger.supply_of(address)
    return not pool or (supply is not None and pool in {supply.pool.name, str(supply.range)})


def _requested(ledger: Ledger, claim: Claim, requests: list[Address]) -> _Found:
    """The first of the requests that can be had."""
    reasons, is_sharing = [f"{text} is not an IP address" for text in claim.unreadable], False
    for address in requests:
        supply, rival = ledger.supply_of(address), ledger.rival(address, claim)
        if supply is None:
            reasons.append(f"{address} is in no pool")
        elif not _is_in(ledger, claim.pool, address):
            reasons.append(f"{address} is not in {claim.pool} but in pool {supply.pool.name}")
        elif refused := _terms(supply.pool, claim):
            reasons.append(f"{address}: {refused}")
        elif supply.is_reserved(address):
            reasons.append(f"{address} is reserved in pool {supply.pool.name}")
        elif rival:
            is_sharing = is_sharing or bool(claim.key)
            reasons.append(f"{address} is held by {rival}{_how_to_share(claim)}")
        else:
            return _Found(address)
    text = "; ".join(reasons) or f"no address of IPv{'/IPv'.join(map(str, claim.versions))} was asked for"
    reason = Denial.SHARING if is_sharing else Denial.REQUEST_UNMET
    return _Found(None, Refusal(reason, f"{text} (ask for others in ip-request, or leave it out)"))


def _how_to_share(claim: Claim) -> str:
    if not claim.key:
        return ""
    return ", which has not the same allow-shared-ip and namespace, or has a port in common"


def _any(ledger: Ledger, claim: Claim, version: int) -> _Found:
    """An address that the Service shares, otherwise the lowest free one of the first pool that has any."""
    supplies = [each for each in _open(ledger, claim) if each.range.version == version]
    for address in ledger.shareable(claim):
        supply = ledger.supply_of(address)
        if address.version == version and supply in supplies and not ledger.rival(address, claim):
            return _Found(address)
    for supply in supplies:
        lowest = supply.lowest()
        if lowest is not None:
            return _Found(lowest)
    if supplies:
        names = ", ".join(dict.fromkeys(each.pool.name for each in supplies))
        text = f"no IPv{version} address is free in pool {names} (add a range to a pool, or delete Services)"
        return _Found(None, Refusal(Denial.EXHAUSTED, text))
    return _Found(None, Refusal(Denial.NO_POOL, _why_none(ledger, claim, version)))


def _open(ledger: Ledger, claim: Claim) -> Iterator[Supply]:
    """The ranges that the Service may get an address from."""
    for pool in ledger.pools:
        if not _terms(pool, claim) and (claim.pool or pool.automatic):
            yield from (each for each in ledger.supplies(pool) if claim.pool in {"", pool.name, str(each.range)})


def _terms(pool: AddressPool, claim: Claim) -> str:
    """Why the pool gives nothing to the Service; empty if it does."""
    if pool.disabled:
        return f"pool {pool.name} is disabled"
    if pool.namespaces and claim.namespace not in pool.namespaces:
        return f"pool {pool.name} is not for namespace {claim.namespace}"
    if not pool.namespace_selector.matches(claim.namespace_labels):
        return f"pool {pool.name} is not for namespaces with the labels of {claim.namespace}"
    if not pool.selector.matches(claim.labels):
        return f"pool {pool.name} is not for Services with these labels"
    return ""


def _why_none(ledger: Ledger, claim: Claim, version: int) -> str:
    names = ", ".join(pool.name for pool in ledger.pools if pool.automatic and not _terms(pool, claim)) or "none"
    if not claim.pool:
        return f"no pool gives IPv{version} addresses to it (name one in ip-pool; without a name it gets from: {names})"
    for pool in ledger.pools:
        if claim.pool == pool.name or any(claim.pool == str(each) for each in pool.ranges):
            refused = _terms(pool, claim) or f"{claim.pool} has no IPv{version} addresses"
            return f"{refused} (name another pool in ip-pool, or leave it out)"
    return f"there is no pool {claim.pool[:63]} (name a pool in ip-pool, or leave it out)"
