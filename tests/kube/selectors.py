"""Label and field selectors, as far as we use them: ``a=b,c!=d,e,!f,g in (h,i)`` and ``metadata.name=web``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.kube.objects import Object

_TERM = re.compile(
    r"(?P<absent>!)?(?P<key>[^\s=!,()]+)"
    r"(?:\s*(?P<sign>==|=|!=)\s*(?P<value>[^\s,()]*)|\s+(?P<among>in|notin)\s*\((?P<values>[^)]*)\))?\s*(?:,\s*|$)"
)


class BadSelector(ValueError):
    """A selector that a server would answer with 400."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: the value at ``key`` is (``wanted``) or is not one of ``values``; no values: any."""

    key: str
    values: tuple[str, ...]
    wanted: bool

    def holds(self, value: str | None) -> bool:
        """Whether a value (None: there is none) satisfies the condition."""
        if not self.values:
            return (value is not None) == self.wanted
        return (value in self.values) == self.wanted


@dataclass(frozen=True, slots=True)
class Selector:
    """Both selectors of a request; all terms must hold."""

    labels: tuple[Term, ...] = ()
    fields: tuple[Term, ...] = ()

    def matches(self, value: Object) -> bool:
        """Whether the object is one of those that were asked for."""
        labels = value["metadata"].get("labels") or {}
        return all(term.holds(labels.get(term.key)) for term in self.labels) and all(
            term.holds(_field(value, term.key)) for term in self.fields
        )

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)


def parse_selector(labels: str, fields: str) -> Selector:
    """The selectors of a request's query; empty texts select everything.

    Raises:
        BadSelector: one of them cannot be understood.
    """
    return Selector(tuple(_terms(labels)), tuple(_terms(fields)))


def _terms(text: str) -> Iterator[Term]:
    place = 0
    while place < len(text):
        match = _TERM.match(text, place)
        if match is None:
            raise BadSelector(f"unable to parse requirement: {text!r}")
        place = match.end()
        if match["among"]:
            values = tuple(value.strip() for value in match["values"].split(","))
            yield Term(match["key"], values, match["among"] == "in")
        elif match["sign"]:
            yield Term(match["key"], (match["value"],), match["sign"] != "!=")
        else:
            yield Term(match["key"], (), not match["absent"])


def _field(value: Object, path: str) -> str:
    found: object = value
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return "" if found is None else str(found)
