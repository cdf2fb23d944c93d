"""Desired services -> what the guard lets through."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from appliance.model.address import Address, Network, canonical_networks
from appliance.model.desired import DesiredService
from appliance.model.guard import FlowLimit, Guard, GuardRule, ObservedGuard, Refusal
from appliance.model.service import ServiceKey

MAX_TOLD = 3
"""So many differences are told one by one."""


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """What of the guard does not come from services.

    ``own`` are addresses that the node itself uses; those outside the pools are none of the guard's business anyway.
    """

    pools: tuple[Network, ...]
    own: frozenset[Address] = frozenset()
    refusal: Refusal = Refusal.DROP


@dataclass(frozen=True, slots=True)
class Gaps:
    """Where the kernel was not read to hold what is wanted: ``whole`` says why no VIP is guarded as it should be.

    ``vips`` are those of which single elements differ. A value without either is false.
    """

    whole: str = ""
    vips: frozenset[Address] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.whole or self.vips)

    def of(self, vip: Address) -> str:
        """Why the VIP is not guarded as it should be, in words; empty where it is."""
        return self.whole or ("the guard does not let through to it what it should" if vip in self.vips else "")


def guard(
    services: Collection[DesiredService],
    policy: GuardPolicy,
    *,
    standing: Collection[ServiceKey] = (),
    before: Guard | None = None,
) -> Guard:
    """What the guard should hold while ``services`` are wanted and the kernel still has ``standing``.

    A service that is wanted no more takes packets until it is removed (I2), for routers send them during the settle
    time. So it keeps what it has in ``before``, the guard that is in force.
    """
    pools = canonical_networks(policy.pools)
    rules = {rule.key: rule for rule in _rules(services)}
    wanted = {service.key for service in services}
    ending = frozenset(standing) - wanted
    kept = {rule.key: rule for rule in before.rules if rule.key in ending} if before is not None else {}
    return Guard(
        pools=pools,
        own=frozenset(address for address in policy.own if any(address in pool for pool in pools)),
        vips=frozenset(key.vip for key in (*wanted, *kept)),
        rules=frozenset((*rules.values(), *kept.values())),
        refusal=policy.refusal,
    )


def stands(wanted: Guard, observed: ObservedGuard) -> bool:
    """Whether the kernel was read to hold exactly what is wanted."""
    return observed.intact and observed.guard == wanted


def gaps(wanted: Guard, observed: ObservedGuard) -> Gaps:
    """Where ``observed`` is not what is wanted."""
    have = observed.guard
    if have is None or not observed.intact:
        return Gaps("the guard is missing in the kernel, or not as it was made")
    if have == wanted:
        return Gaps()
    if (have.pools, have.own, have.refusal) != (wanted.pools, wanted.own, wanted.refusal):
        return Gaps("the guard has other pools, own addresses or another refusal than it should")
    return Gaps(vips=frozenset(rule.key.vip for rule in have.rules ^ wanted.rules) | (have.vips ^ wanted.vips))


def drift(wanted: Guard, observed: ObservedGuard) -> str:
    """What somebody made of the guard and what it should be, old -> new."""
    have = observed.guard
    if have is None or not observed.intact:
        return "table gone or its rules changed -> as it was made"
    changed = list(_changed(have, wanted))
    told = changed[:MAX_TOLD]
    told += [f"{len(changed) - MAX_TOLD} more"] if len(changed) > MAX_TOLD else []
    return ", ".join(told) or "its VIPs, pools or own addresses changed -> as they were"


def steps(wanted: Guard, have: Guard | None) -> Iterator[str]:
    """What is to be done to a table that holds ``have``, in words; None where there is no table."""
    if have is None:
        yield f"make the guard, {len(wanted.rules)} ports open"
        return
    yield from (f"guard {change}" for change in _changed(have, wanted))
    if (have.pools, have.own, have.refusal) != (wanted.pools, wanted.own, wanted.refusal):
        yield "set pools, own addresses and refusal of the guard"


def _changed(have: Guard, wanted: Guard) -> Iterator[str]:
    """Each port that is open otherwise than wanted, old -> new."""
    were, are = ({rule.key: rule for rule in each.rules} for each in (have, wanted))
    keys = sorted({rule.key for rule in have.rules ^ wanted.rules}, key=lambda each: each.order)
    return (f"{key}: {_entrance(were.get(key))} -> {_entrance(are.get(key))}" for key in keys)


def _entrance(rule: GuardRule | None) -> str:
    if rule is None:
        return "closed"
    sources = "open" if rule.sources is None else f"open to {len(rule.sources)} networks"
    return sources if rule.limit is None else f"{sources}, {rule.limit.per_s} new flows a second"


def terms(service: DesiredService | None) -> tuple[object, ...]:
    """What of a service the guard goes by."""
    return () if service is None else (service.owner, service.source_ranges, service.new_flows_per_s)


def _rules(services: Iterable[DesiredService]) -> Iterator[GuardRule]:
    groups: dict[tuple[Address, str, int], list[ServiceKey]] = {}
    sources: dict[ServiceKey, tuple[Network, ...] | None] = {}
    limits: dict[ServiceKey, FlowLimit] = {}
    for service in services:
        key = service.key
        own = tuple(network for network in service.source_ranges if network.version == key.vip.version)
        if service.source_ranges and not own:
            continue  # nobody of this IP version is let in
        open_to_all = not own or any(network.prefixlen == 0 for network in own)
        sources[key] = None if open_to_all else canonical_networks(own)
        if service.new_flows_per_s is not None:
            groups.setdefault((key.vip, service.owner, service.new_flows_per_s), []).append(key)
    for (_, _, per_s), keys in groups.items():
        limit = FlowLimit(min(keys, key=lambda each: each.order), per_s)
        limits.update(dict.fromkeys(keys, limit))
    return (GuardRule(key, sources[key], limits.get(key)) for key in sources)
