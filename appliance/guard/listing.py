"""What libnftables prints of the table, libnftables-json(5) -> values. Pure."""

import errno
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network, summarize_address_range
from typing import Any

import msgspec

from appliance.errors import KernelError
from appliance.guard.layout import BETWEEN, KINDS, SETS, VERSIONS, Contents, SetKind, contents
from appliance.model.address import Address, Network, canonical_networks
from appliance.model.guard import FlowLimit, Guard, GuardCounts, GuardRule, Refusal
from appliance.model.service import Protocol, ServiceKey

_LIMIT = re.compile(r'"flows_(\d{1,9})_((?:[0-9a-f]{8}){1,4})_(\d{1,3})_(\d{1,5})"')
_PASSING = frozenset({"table", "handle", "elem", "packets", "bytes"})
_UNREADABLE = (ValueError, KeyError, TypeError, IndexError, AttributeError)


@dataclass(frozen=True, slots=True)
class Listing:
    """The table taken apart.

    ``contents`` are the elements as ``layout`` writes them; None where there are other sets than ours, or one of them
    holds what it could not. ``shape`` is everything but elements, counts and the table itself: tables of one template
    have one shape. A ``dormant`` table sees no packets.
    """

    contents: Contents | None
    shape: tuple[bytes, ...]
    dormant: bool


def read_listing(printed: bytes) -> Listing:
    """What ``list table`` prints.

    Raises:
        KernelError: with EBADMSG, it is not what libnftables-json(5) promises.
    """
    objects = list(_objects(printed))
    shape = tuple(
        msgspec.json.encode(
            {kind: {name: value for name, value in body.items() if name not in _PASSING}}, order="sorted"
        )
        for kind, body in objects
        if kind not in {"limit", "table"}
    )
    dormant = any(kind == "table" and "flags" in body for kind, body in objects)
    try:
        found = _contents(objects)
    except _UNREADABLE:  # foreign elements take any form; that they are not ours is all there is to know
        found = None
    return Listing(found, shape, dormant)


def guard_of(found: Contents | None) -> Guard | None:
    """The Guard that has these elements, None where no guard has."""
    if found is None:
        return None
    try:
        guard = _guard(found)
        return guard if contents(guard) == found else None
    except _UNREADABLE:
        return None


def read_counts(printed: bytes) -> GuardCounts:
    """What ``list table`` prints, with counts.

    Raises:
        KernelError: with EBADMSG, it is not what libnftables-json(5) promises, or the table is not ours.
    """
    objects = list(_objects(printed))
    try:
        counters = {body["name"]: int(body["packets"]) for kind, body in objects if kind == "counter"}
        return GuardCounts(
            _counted(objects, "refused"), _counted(objects, "limited"), counters["unserved"], counters["spoofed"]
        )
    except _UNREADABLE:
        raise _malformed("counts") from None


def names_table(printed: bytes, name: str) -> bool:
    """Whether ``list tables`` prints a table of this name.

    Raises:
        KernelError: with EBADMSG, it is not what libnftables-json(5) promises.
    """
    return any(kind == "table" and body.get("name") == name for kind, body in _objects(printed))


def _objects(printed: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        listed = msgspec.json.decode(printed)["nftables"]
        pairs = [next(iter(each.items())) for each in listed]
        return iter([(kind, dict(body)) for kind, body in pairs if kind != "metainfo"])
    except (*_UNREADABLE, StopIteration):
        raise _malformed("a ruleset") from None


def _malformed(what: str) -> KernelError:
    return KernelError("decode nftables", what, errno.EBADMSG, hint="is this libnftables supported?")


def _counted(objects: Iterable[tuple[str, dict[str, Any]]], stem: str) -> dict[Address, int]:
    names = {f"{stem}{version}" for version in VERSIONS}
    listed = (body.get("elem", ()) for kind, body in objects if kind == "set" and body["name"] in names)
    elements = [each["elem"] for elem in listed for each in elem]
    return {ip_address(each["val"]): int(each["counter"]["packets"]) for each in elements}


def _contents(objects: Iterable[tuple[str, dict[str, Any]]]) -> Contents | None:
    sets = dict.fromkeys(SETS, frozenset[str]())
    limits: set[str] = set()
    for kind, body in objects:
        if kind in {"set", "map"}:
            sets[body["name"]] = frozenset(_elements(SETS[body["name"]], body.get("elem", ())))
        elif kind == "limit":
            per_s = int(body["name"].split("_")[1])
            if (body["rate"], body["burst"], body["per"], body["inv"]) != (per_s, per_s, "second", True):
                return None
            limits.add(body["name"])
    return Contents(sets, frozenset(limits))


def _elements(kind: SetKind, listed: Iterable[Any]) -> Iterator[str]:
    for each in listed:
        key, limit = each if kind.limits else (each, "")
        if isinstance(key, dict) and "elem" in key:
            key = key["elem"]["val"]  # with a counter
        *head, last = key["concat"] if isinstance(key, dict) and "concat" in key else [key]
        if kind.intervals:
            yield from (_text(*head, network) for network in _networks(last))
        else:
            yield _text(*head, last) + (f' : "{limit}"' if limit else "")


def _text(address: Any, *rest: Any) -> str:
    """An element as ``layout`` writes it. The library writes some IPv6 addresses otherwise than Python does."""
    if not isinstance(address, str):
        raise TypeError(address)
    if ":" in address and "/" not in address:
        address = str(ip_address(address))
    return BETWEEN.join((address, *map(str, rest)))


def _networks(part: Any) -> Iterator[str]:
    """An interval: a prefix, a range, or one address."""
    if isinstance(part, str):
        yield str(ip_network(part))
    elif "prefix" in part:  # TypeError where it is a number
        yield str(ip_network(f"{part['prefix']['addr']}/{part['prefix']['len']}"))
    else:
        first, last = part["range"]
        yield from map(str, summarize_address_range(ip_address(first), ip_address(last)))


def _guard(found: Contents) -> Guard:
    """The Guard that may have these elements; whether it has them is for the caller to see."""
    both = {kind.stem: [each for version in VERSIONS for each in found.sets[f"{kind.stem}{version}"]] for kind in KINDS}
    limits = {_key(key): _limit(name) for key, _, name in (each.partition(" : ") for each in both["limits"])}
    ranged: dict[ServiceKey, list[Network]] = {}
    for service, _, network in (each.rpartition(BETWEEN) for each in both["ranged"]):
        ranged.setdefault(_key(service), []).append(ip_network(network))
    opened = dict.fromkeys(map(_key, both["open"]))
    return Guard(
        pools=canonical_networks(map(ip_network, both["pools"])),
        own=frozenset(map(ip_address, both["own"])),
        vips=frozenset(map(ip_address, both["vips"])),
        rules=frozenset(
            (
                *(GuardRule(key, None, limits.get(key)) for key in opened),
                *(GuardRule(key, canonical_networks(each), limits.get(key)) for key, each in ranged.items()),
            )
        ),
        refusal=Refusal.REJECT if both["rejected"] else Refusal.DROP,
    )


def _key(service: str) -> ServiceKey:
    vip, protocol, port = service.split(BETWEEN)
    return ServiceKey(ip_address(vip), Protocol(int(protocol)), int(port))


def _limit(quoted: str) -> FlowLimit:
    match = _LIMIT.fullmatch(quoted)
    if match is None:
        raise ValueError(quoted)
    first = ServiceKey(ip_address(bytes.fromhex(match[2])), Protocol(int(match[3])), int(match[4]))
    return FlowLimit(first, int(match[1]))
