"""Tables of legacy iptables as the kernel hands them out and takes them (pure): entries one behind the other.

linux/netfilter/x_tables.h, linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h. A table can only be
replaced as a whole, so everything of others is carried over as it came, byte by byte, and its jumps are set to where
their chains have moved to.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network

from appliance.model.address import Network, address_order
from appliance.model.tunnel import Rules
from appliance.netlink.message import malformed

CHAIN = "BALANCED-TUNNEL"
HOOKS: Mapping[str, int] = {"mangle": 3, "filter": 1}
"""The tables that hold something of ours, and the hook that leads there: NF_INET_LOCAL_OUT, NF_INET_LOCAL_IN."""

_HEADS = {
    # struct ipt_entry and ip6t_entry: source and its mask, protocol, flags, target_offset, next_offset.
    4: struct.Struct("=4s4x4s4x64xHBx4xHH4x16x"),
    6: struct.Struct("=16s16x16s16x64xHxBx3x4xHH4x4x16x"),
}
_OFFSETS = struct.Struct("=HH")
_OFFSETS_AT = {4: 88, 6: 140}
_NAMED = struct.Struct("=H29sB")
"""struct xt_entry_match and xt_entry_target: size, name, revision; what follows is aligned to 8 bytes."""
_VERDICT = struct.Struct("=i")
_ERROR = "ERROR"
_ERROR_BYTES = 30
_F_PROTO = {4: 0, 6: 1}
"""IP6T_F_PROTO: the protocol is to be compared; IPv4 takes 0 for any."""
_DROP, _RETURN = -1, -5
"""Verdicts below 0 (NF_DROP, XT_RETURN) end the chain, others are where to go on, in bytes from the table's start."""
_OURS = 0x7FFFFFFF
_SYN_ACK = 0x12
_ALL_PORTS = (0, 0xFFFF)
_TCP, _UDP = 6, 17
_TUNNELLED = (4, 41)


@dataclass(frozen=True, slots=True)
class Table:
    """One table: where the chains of its hooks begin and end with their policy (bytes from the start), its entries."""

    version: int
    name: str
    valid_hooks: int
    begins: tuple[int, ...]
    policies: tuple[int, ...]
    entries: tuple[bytes, ...]
    origins: tuple[int | None, ...] = ()
    """Which entry of the table before each one was, for its counters; None for those that are new."""


def cut(version: int, blob: bytes) -> tuple[bytes, ...]:
    """The entries of a table, their counters at 0.

    Raises:
        KernelError: with EBADMSG, the bytes are no table.
    """
    found, start, head = [], 0, _HEADS[version].size
    while start < len(blob):
        if start + head > len(blob):
            raise malformed("table", start)
        target, size = _OFFSETS.unpack_from(blob, start + _OFFSETS_AT[version])
        if not head <= target <= size - _NAMED.size or start + size > len(blob):
            raise malformed("table", start)
        # comefrom, which the kernel writes for itself, and the counters.
        plain = blob[start : start + _OFFSETS_AT[version] + _OFFSETS.size]
        found.append(plain.ljust(head, b"\0") + blob[start + head : start + size])
        start += size
    return tuple(found)


def is_marked(table: Table) -> bool:
    """Whether something of ours stands in the table."""
    return bool(_ours(table))


def holds(table: Table, rules: Rules) -> bool:
    """Whether our chain has exactly these rules, and its hook leads there before anything else."""
    ours, starts = _ours(table), _starts(table)
    if tuple(table.entries[place] for place in ours) != _chain(table, rules):
        return False
    first = starts.index(table.begins[HOOKS[table.name]])
    return table.entries[first] == _entry(table.version, _to(starts[ours[1]]))


def replaced(table: Table, rules: Rules | None) -> Table:
    """The table with these rules in the place of whatever of ours stands there; None for nothing of ours at all."""
    ours, starts = _ours(table), _starts(table)
    dropped = set(ours) | _leading_to(table, starts, ours)
    chain = _chain(table, rules) if rules is not None else ()
    entries: list[bytes] = []
    origins: list[int | None] = []
    begins: dict[int, int] = {}
    moved: dict[int, int] = {}
    size = own = 0
    for place, start in enumerate(starts):
        added: tuple[bytes, ...] = ()
        if place == len(starts) - 1:
            added, own = chain, size + sum(map(len, chain[:1]))
        elif start == table.begins[HOOKS[table.name]] and chain:
            added = (_entry(table.version, _to(_OURS)),)
        begins[start] = size
        moved[start] = size + sum(map(len, added))
        kept = () if place in dropped else (table.entries[place],)
        entries += (*added, *kept)
        origins += (*(None for _ in added), *(place for _ in kept))
        size = moved[start] + sum(map(len, kept))
    moved[_OURS] = own
    return replace(
        table,
        begins=tuple(begins.get(start, start) for start in table.begins),
        policies=tuple(moved.get(start, start) for start in table.policies),
        entries=tuple(_led(table.version, entry, moved) for entry in entries),
        origins=tuple(origins),
    )


def _starts(table: Table) -> list[int]:
    """Where each entry begins."""
    starts, size = [], 0
    for entry in table.entries:
        starts.append(size)
        size += len(entry)
    return starts


def _ours(table: Table) -> list[int]:
    """The places of our chain's entries, from the one that names it to the one that ends it."""
    names = [_named(table.version, entry) for entry in table.entries]
    if CHAIN not in names:
        return []
    first = names.index(CHAIN)
    after = next(place for place in range(first + 1, len(names)) if names[place])
    return list(range(first, after))


def _leading_to(table: Table, starts: Sequence[int], ours: Sequence[int]) -> set[int]:
    """The places of entries that lead to our chain."""
    if not ours:
        return set()
    entry_of = starts[ours[1]]
    return {place for place, entry in enumerate(table.entries) if _verdict(table.version, entry) == entry_of}


def _named(version: int, entry: bytes) -> str:
    """The name of the chain that begins with this entry; ERROR for the end of the table, empty for a rule."""
    (target, _) = _OFFSETS.unpack_from(entry, _OFFSETS_AT[version])
    _, name, _ = _NAMED.unpack_from(entry, target)
    return _text(entry[target + _NAMED.size :]) if _text(name) == _ERROR else ""


def _verdict(version: int, entry: bytes) -> int | None:
    """Where a rule leads: the verdict of a standard target, whose name is empty."""
    (target, _) = _OFFSETS.unpack_from(entry, _OFFSETS_AT[version])
    _, name, _ = _NAMED.unpack_from(entry, target)
    return None if _text(name) else int(_VERDICT.unpack_from(entry, target + _NAMED.size)[0])


def _led(version: int, entry: bytes, moved: Mapping[int, int]) -> bytes:
    """The entry leading to where its chain has moved."""
    verdict = _verdict(version, entry)
    if verdict is None or verdict < 0:
        return entry
    (target, _) = _OFFSETS.unpack_from(entry, _OFFSETS_AT[version])
    at = target + _NAMED.size
    return entry[:at] + _VERDICT.pack(moved[verdict]) + entry[at + _VERDICT.size :]


def _chain(table: Table, rules: Rules) -> tuple[bytes, ...]:
    """Our chain of that table."""
    make = _clamps if table.name == "mangle" else _lock
    version = table.version
    begin = _entry(version, _part(_ERROR, CHAIN.encode().ljust(_ERROR_BYTES, b"\0")))
    return (begin, *make(version, rules), _entry(version, _to(_RETURN)))


def _clamps(version: int, rules: Rules) -> Iterator[bytes]:
    """A segment size is set only where the new one is smaller (``tcpmss_mangle_packet``, xt_TCPMSS.c)."""
    syn_ack = _part("tcp", struct.pack("=4H4B", *_ALL_PORTS, *_ALL_PORTS, 0, _SYN_ACK, _SYN_ACK, 0))
    for clamp in sorted(rules.clamps, key=lambda each: address_order(each.vip)):
        if clamp.vip.version == version:
            source = ip_network(clamp.vip)
            target = _part("TCPMSS", struct.pack("=H", clamp.mss_bytes))
            yield _entry(version, target, protocol=_TCP, source=source, match=syn_ack)


def _lock(version: int, rules: Rules) -> Iterator[bytes]:
    if rules.directors is None:
        return
    for network in rules.directors:
        if network.version == version:
            yield _entry(version, _to(_RETURN), source=network)
    for protocol in _TUNNELLED:
        yield _entry(version, _to(_DROP), protocol=protocol)
    for port in sorted(rules.ports):
        match = _part("udp", struct.pack("=4HBx", *_ALL_PORTS, port, port, 0))
        yield _entry(version, _to(_DROP), protocol=_UDP, match=match)


def _entry(
    version: int, target: bytes, *, protocol: int = 0, source: Network | None = None, match: bytes = b""
) -> bytes:
    head = _HEADS[version]
    address, mask = (b"", b"") if source is None else (source.network_address.packed, source.netmask.packed)
    flags = _F_PROTO[version] if protocol else 0
    before = head.size + len(match)
    return head.pack(address, mask, protocol, flags, before, before + len(target)) + match + target


def _part(name: str, content: bytes) -> bytes:
    """A match or a target, which ends aligned to 8 bytes."""
    size = -(-(_NAMED.size + len(content)) // 8) * 8
    return (_NAMED.pack(size, name.encode(), 0) + content).ljust(size, b"\0")


def _to(verdict: int) -> bytes:
    return _part("", _VERDICT.pack(verdict))


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("ascii", "replace")
