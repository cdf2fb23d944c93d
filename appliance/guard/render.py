"""A Guard -> the text that nftables reads. Same values, same bytes (I6)."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.guard.layout import REFERENCE, SETS, TABLE, Contents, SetKind, Token, contents
from appliance.model.guard import Guard
from appliance.templating.render import only, templates


@dataclass(frozen=True, slots=True)
class _Set:
    """A set as the templates print it. ``elements`` are lines, all of them or some, and empty where there are none."""

    name: Token
    kind: Token
    type: Token
    intervals: bool
    counted: bool
    elements: Token


@dataclass(frozen=True, slots=True)
class _Limit:
    name: Token
    per_s: int


def render_table(guard: Guard) -> str:
    """The whole table, in place of whatever stands there under its name, in one transaction."""
    return _table(TABLE, contents(guard), dormant=False)


def render_reference() -> str:
    """The same table without elements, dormant and under another name."""
    return _table(REFERENCE, contents(Guard()), dormant=True)


def render_change(gone: Contents, new: Contents) -> str:
    """The elements that go and those that come, in one transaction. Where there are none the text is empty."""
    return _TEMPLATES.get_template("change.nft.j2").render(
        gone=_sets(gone), new=_sets(new), limits_gone=_limits(gone.limits), limits_new=_limits(new.limits)
    )


def _table(name: str, found: Contents, *, dormant: bool) -> str:
    return _TEMPLATES.get_template("table.nft.j2").render(
        table=Token(name), dormant=dormant, sets=_sets(found), limits=_limits(found.limits)
    )


def _sets(found: Contents) -> list[_Set]:
    return [
        _Set(
            name=Token(name),
            kind=Token("map" if kind.limits else "set"),
            type=_type(kind, int(name[-1])),
            intervals=kind.intervals,
            counted=kind.counted,
            elements=_lines(found.sets[name]),
        )
        for name, kind in SETS.items()
    ]


def _type(kind: SetKind, version: int) -> Token:
    address = f"ipv{version}_addr"
    parts = [address, *(("inet_proto", "inet_service") if kind.ports else ()), *((address,) if kind.sources else ())]
    return Token(" . ".join(parts) + (" : limit" if kind.limits else ""))


def _lines(elements: Iterable[str]) -> Token:
    """One element a line. They go into the text as one value, for jinja2 takes its time over each."""
    if not all(type(element) is Token for element in elements):
        raise TypeError("an element is a text that nothing has checked")
    return Token(",\n".join(f"      {element}" for element in sorted(elements)))


def _limits(names: Iterable[str]) -> list[_Limit]:
    return [_Limit(Token(name), int(name.split("_")[1])) for name in sorted(names)]


_TEMPLATES = templates("nftables", only(Token, int))
