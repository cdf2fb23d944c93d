"""The sets of the table, and what of a Guard stands in which of them. Pure.

The rules are always the same; only sets grow with the VIPs. Their names end with the IP version. Elements are texts as
nftables reads them, for a director holds tens of thousands of them, and texts compare at no cost.

nftables has variables, includes and comments, so a text of somebody else's could say anything. None gets in: an element
is a Token, and Tokens are made here alone, of addresses, networks, numbers and our own words.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import chain

from appliance.model.address import Address
from appliance.model.guard import FlowLimit, Guard, GuardRule, Refusal

TABLE = "balanced"
REFERENCE = "balanced_reference"
"""A dormant table, which sees no packet: made for a moment to learn how our rules are listed."""

VERSIONS = (4, 6)
BETWEEN = " . "


class Token(str):
    """Text that was made of checked values for its place in a ruleset."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SetKind:
    """One set of each IP version, called ``stem`` and the version.

    Its elements are addresses, then protocol and port where it has ``ports``, then a network of clients where it has
    ``sources``. ``intervals``: it holds networks; ``counted``: each element counts the packets that matched it;
    ``limits``: it is a map to limits.
    """

    stem: str
    ports: bool = False
    sources: bool = False
    intervals: bool = False
    counted: bool = False
    limits: bool = False


KINDS = (
    SetKind("pools", intervals=True),
    SetKind("own"),
    SetKind("vips"),
    SetKind("refused", counted=True),
    SetKind("rejected"),
    SetKind("open", ports=True),
    SetKind("ranged", ports=True, sources=True, intervals=True),
    SetKind("limited", counted=True),
    SetKind("limits", ports=True, limits=True),
)
SETS = {f"{kind.stem}{version}": kind for kind in KINDS for version in VERSIONS}


@dataclass(frozen=True, slots=True)
class Contents:
    """The elements of every set by its name, and the names of the limits that the maps lead to."""

    sets: dict[str, frozenset[str]]
    limits: frozenset[str]


def contents(guard: Guard) -> Contents:
    """What stands in the sets where ``guard`` is in force."""
    vips = _of_vips(guard.vips, guard.refusal)
    return _gathered(chain(_of_pools(guard), vips, _of_rules(guard.rules)), guard.rules)


def difference(before: Guard, after: Guard) -> tuple[Contents, Contents]:
    """The elements that go and those that come.

    Only rules and VIPs that differ are looked at, and of the other rules those that share a limited VIP with them.
    """
    gone, new = before.rules - after.rules, after.rules - before.rules
    limited = {rule.key.vip for rule in gone | new if rule.limit is not None}
    if limited:
        kept = {rule for rule in before.rules & after.rules if rule.limit is not None and rule.key.vip in limited}
        gone, new = gone | kept, new | kept
    same = before.vips & after.vips if before.refusal is after.refusal else frozenset[Address]()
    old_vips, new_vips = _of_vips(before.vips - same, before.refusal), _of_vips(after.vips - same, after.refusal)
    old = _gathered(chain(_of_pools(before), old_vips, _of_rules(gone)), gone)
    fresh = _gathered(chain(_of_pools(after), new_vips, _of_rules(new)), new)
    return without(old, fresh), without(fresh, old)


def without(one: Contents, other: Contents) -> Contents:
    """What ``one`` has and ``other`` has not."""
    sets = {name: elements - other.sets[name] for name, elements in one.sets.items()}
    return Contents(sets, one.limits - other.limits)


def joined(one: Contents, other: Contents) -> Contents:
    """What either has."""
    return Contents(
        {name: elements | other.sets[name] for name, elements in one.sets.items()}, one.limits | other.limits
    )


def limit_name(limit: FlowLimit) -> Token:
    """What the limit is called in the table: the name says everything about it, so that it never has to be changed."""
    key = limit.first
    return Token(f"flows_{limit.per_s:d}_{key.vip.packed.hex()}_{int(key.protocol)}_{key.port:d}")


def _gathered(elements: Iterable[tuple[str, Token]], rules: Iterable[GuardRule]) -> Contents:
    found: dict[str, set[str]] = {name: set() for name in SETS}
    for name, element in elements:
        found[name].add(element)
    limits = frozenset(limit_name(rule.limit) for rule in rules if rule.limit is not None)
    return Contents({name: frozenset(each) for name, each in found.items()}, limits)


def _of_pools(guard: Guard) -> Iterator[tuple[str, Token]]:
    yield from ((f"pools{network.version}", _part(network)) for network in guard.pools)
    yield from ((f"own{address.version}", _part(address)) for address in guard.own)


def _of_vips(vips: Iterable[Address], refusal: Refusal) -> Iterator[tuple[str, Token]]:
    stems = ("vips", "refused", "rejected") if refusal is Refusal.REJECT else ("vips", "refused")
    for vip in vips:
        text = _part(vip)
        yield from ((f"{stem}{vip.version}", text) for stem in stems)


def _of_rules(rules: Iterable[GuardRule]) -> Iterator[tuple[str, Token]]:
    for rule in rules:
        key = rule.key
        version, vip = key.vip.version, _part(key.vip)
        service = f"{vip}{BETWEEN}{int(key.protocol):d}{BETWEEN}{key.port:d}"
        if rule.sources is None:
            yield f"open{version}", Token(service)
        else:
            yield from ((f"ranged{version}", Token(service + BETWEEN + _part(network))) for network in rule.sources)
        if rule.limit is not None:
            yield f"limited{version}", vip
            yield f"limits{version}", Token(f'{service} : "{limit_name(rule.limit)}"')


def _part(value: object) -> Token:
    """An address or a network. A subclass could print what it likes, and a zone may be nearly any text."""
    if type(value) not in {IPv4Address, IPv6Address, IPv4Network, IPv6Network}:
        raise TypeError(f"an element holds a {type(value).__name__}, which nothing has checked")
    if isinstance(value, IPv6Address) and value.scope_id is not None:
        raise ValueError("an address with a zone in an element of a set")
    return Token(value)
