"""Whose a virtual service inside our pools is. Pure.

IPVS keeps no mark of who made a service (``struct ip_vs_service``, include/net/ip_vs.h). So what the director creates
it claims first, in a record that lives as long as the kernel's table does; what nobody claimed is a stranger's.
"""

from collections.abc import Collection, Iterable, Mapping

from appliance.model.observed import ObservedService
from appliance.model.service import Forwarding, ServiceKey

MOST_NAMED = 3


def strangers(
    standing: Mapping[ServiceKey, ObservedService],
    expected: Mapping[ServiceKey, ObservedService],
    claimed: Collection[ServiceKey] | None,
) -> frozenset[ServiceKey]:
    """The services that somebody else made: they are left as they are, and one that we want there is refused.

    What reads as it should is no stranger, whoever made it: there is nothing to change about it. Without a
    record (``claimed`` is None) only what can never have been ours is one.
    """
    return frozenset(
        key
        for key, each in standing.items()
        if (_never_ours(each) if claimed is None else key not in claimed) and not _as_wanted(each, expected.get(key))
    )


def adopted(standing: Mapping[ServiceKey, ObservedService]) -> frozenset[ServiceKey]:
    """What is claimed where there is no record: all but what can never have been ours."""
    return frozenset(key for key, each in standing.items() if not _never_ours(each))


def in_words(found: Iterable[ServiceKey], wanted: Collection[ServiceKey]) -> str:
    """Which services are in the way, and which are only there."""
    keys = sorted(found, key=lambda each: each.order)
    taken, beside = [key for key in keys if key in wanted], [key for key in keys if key not in wanted]
    parts = [f"{_named(taken)} in place of ours, whose VIPs cannot be served here"] if taken else []
    parts += [f"{_named(beside)}, left as found"] if beside else []
    return f"IPVS services inside our pools that somebody else made: {'; '.join(parts)}"


def _as_wanted(have: ObservedService, want: ObservedService | None) -> bool:
    """Whether this is what we want, destinations in any order."""
    return (
        want is not None
        and have.service == want.service
        and frozenset(have.destinations) == frozenset(want.destinations)
    )


def _never_ours(service: ObservedService) -> bool:
    """A destination that is no tunnel, or has thresholds, was never made by a director."""
    return any(
        each.forwarding is not Forwarding.TUNNEL or each.upper_threshold or each.lower_threshold
        for each in service.destinations
    )


def _named(keys: list[ServiceKey]) -> str:
    more = f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else ""
    return ", ".join(map(str, keys[:MOST_NAMED])) + more
