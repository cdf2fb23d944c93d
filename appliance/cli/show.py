"""Answers of the director as text for people.

Laid out here and not by a library's table: at 80 columns an address or a state must not be broken, whatever stands
beside it. Only the reason wraps; where too little room is left for it, it goes below its row.
"""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.text import Text

from appliance.director.status import ChecksStatus, DrainStatus, Status, VipStatus

_MINUTE_S = 60
_HOUR_S = 60 * _MINUTE_S
_DAY_S = 24 * _HOUR_S
_STYLES = {"announced": "green", "withdrawn": "red", "removing": "yellow", "held": "yellow", "draining": "yellow"}
_HEADS = ("VIP", "SERVICES", "READY", "KERNEL", "STATE", "TO", "SINCE")
_STATE = _HEADS.index("STATE")
_GAP = "  "
# Lists get this share of the width and go on in the next line.
_LIST_SHARE = 8
_LEAST_WHY = 16
# Every session of ours has it in BIRD.
_PEER_PREFIX = "balanced_"


@dataclass(frozen=True, slots=True)
class _Row:
    """One VIP: its cells, each of one line or more, and the reason."""

    cells: tuple[tuple[str, ...], ...]
    style: str
    why: str


def show_status(status: Status, width: int) -> Text:
    """The status as a headline, a table of VIPs and what stands in the way, in lines of ``width`` columns.

    A line is longer only where a single word is.
    """
    lines = [_headline(status)]
    if status.vips:
        lines.extend(_table([_row(vip, width // _LIST_SHARE) for vip in status.vips], width))
    else:
        lines.append(Text(f"no VIPs{f': waiting for the {status.waiting_for}' if status.waiting_for else ''}"))
    notes = [_order(status.drain)] if status.drain is not None else []
    notes += [f"! {name}: {text}" for name, text in status.conditions.items()]
    notes += [f"! refused: {problem}" for problem in status.problems]
    notes += _checks(status.checks) if status.checks is not None else []
    notes += [f"- guard {status.guard}"] if status.guard else []
    notes += [f"- {note}" for note in status.notes]
    if status.vips and notes:
        lines.append(Text())
    lines.extend(Text(line, style="yellow") for note in notes for line in _wrapped(note, width, indent="  "))
    return Text("\n").join(lines)


def _headline(status: Status) -> Text:
    up = sum(peer.established for peer in status.peers)
    bird = f"BIRD {status.bird}, {up} of {len(status.peers)} sessions up" if status.bird else "BIRD not answering"
    text = Text(f"{status.node}  balanced {status.version}  {bird}  ")
    text.append("degraded" if status.degraded else "well", style="yellow" if status.degraded else "green")
    if status.drain is not None:
        text.append("  drained", style="bold yellow")
    return text


def _order(drain: DrainStatus) -> str:
    why = f": {drain.why}" if drain.why else ""
    return f"! drained by {drain.who} since {drain.since:%F %H:%M} UTC{why}"


def _checks(checks: ChecksStatus) -> list[str]:
    unprobed = f", {checks.unprobed} more not" if checks.unprobed else ""
    lines = [f"! fails its probes: {text}" for text in checks.first_failing]
    if checks.failing > len(lines):
        lines.append(f"! and {checks.failing - len(lines)} more")
    return [*lines, f"- {checks.targets} backends probed every {checks.interval_s:.3g} s{unprobed}"]


def _row(vip: VipStatus, list_width: int) -> _Row:
    peers = (name.removeprefix(_PEER_PREFIX) for name in vip.announced_to)
    cells = (
        (vip.vip,),
        _listed(vip.services, list_width),
        (f"{vip.backends_ready}/{vip.backends}",),
        ("ok" if vip.kernel == "proven" else "-" if vip.kernel == "-" else "fault",),
        (vip.state,),
        _listed(peers, list_width),
        (ago(vip.for_s),),
    )
    return _Row(cells, _STYLES.get(vip.state, ""), vip.reason)


def _listed(words: Iterable[str], width: int) -> tuple[str, ...]:
    return tuple(_wrapped(" ".join(words) or "-", width))


def _table(rows: list[_Row], width: int) -> Iterator[Text]:
    """Head and rows; the reason beside the row, or below it where that would leave too little room."""
    heads = [(head,) for head in _HEADS]
    columns = zip(heads, *(row.cells for row in rows), strict=True)
    widths = [max(len(line) for cell in column for line in cell) for column in columns]
    taken = sum(widths) + len(_GAP) * len(widths)
    beside = width - taken >= _LEAST_WHY
    yield Text()
    head = _GAP.join(name.ljust(size) for name, size in zip(_HEADS, widths, strict=True))
    yield Text(f"{head}{_GAP}WHY" if beside else head.rstrip(), style="bold")
    for row in rows:
        why = _wrapped(row.why, width - taken) if beside else []
        for number in range(max(len(why), *map(len, row.cells))):
            yield _line(row, widths, number, why[number] if number < len(why) else "")
        if not beside:
            yield from (Text(f"{_GAP}{line}") for line in _wrapped(row.why, width - len(_GAP)))


def _line(row: _Row, widths: list[int], number: int, why: str) -> Text:
    """The ``number``-th line of a row."""
    text = Text()
    for place, (cell, size) in enumerate(zip(row.cells, widths, strict=True)):
        word = cell[number] if number < len(cell) else ""
        text.append(word.ljust(size), style=row.style if place == _STATE else "")
        text.append(_GAP)
    text.append(why)
    text.rstrip()
    return text


def _wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    """The text in lines of ``width``, cut only between words; what could steer a terminal is replaced."""
    plain = "".join(char if char.isprintable() else "?" for char in text)
    return textwrap.wrap(plain, max(width, 1), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def ago(seconds: float) -> str:
    """A length of time in its two largest units: ``3d 4h``, ``12m 5s``, ``7s``."""
    whole = int(seconds)
    if whole >= _DAY_S:
        return f"{whole // _DAY_S}d {whole % _DAY_S // _HOUR_S}h"
    if whole >= _HOUR_S:
        return f"{whole // _HOUR_S}h {whole % _HOUR_S // _MINUTE_S}m"
    if whole >= _MINUTE_S:
        return f"{whole // _MINUTE_S}m {whole % _MINUTE_S}s"
    return f"{whole}s"
