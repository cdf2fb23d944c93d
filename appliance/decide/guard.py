"""Desired services -> what the guard lets through."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from appliance.model.address import Address, Network, canonical_networks
from appliance.model.desired import DesiredService
from appliance.model.guard import FlowLimit, Guard, GuardRule, ObservedGuard, Refusal
from appliance.model.service import ServiceKey


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """What of the guard does not come from services.

    ``own`` are addresses that the node itself uses; those outside the pools are none of the guard's business anyway.
    """

    pools: tuple[Network, ...]
    own: frozenset[Address] = frozenset()
    refusal: Refusal = Refusal.DROP


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
