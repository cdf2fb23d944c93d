"""Labels, and selectors of them, as Kubernetes has them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_TERM = re.compile(
    r"\s*(?P<absent>!\s*)?(?P<key>[^\s=!,()]+)"
    r"(?:\s*(?P<sign>==|=|!=)\s*(?P<value>[^\s,()=!]*)|\s+(?P<among>in|notin)\s*\((?P<values>[^()]*)\))?\s*(?:,|$)"
)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: the value of label ``key`` is one of ``values`` (``wanted``), or is not; no values: it exists."""

    key: str
    values: tuple[str, ...]
    wanted: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy it; ``!=`` and ``notin`` hold where there is no such label."""
        value = labels.get(self.key)
        found = value is not None if not self.values else value in self.values
        return found == self.wanted


@dataclass(frozen=True, slots=True)
class Selector:
    """All terms must hold; without terms everything is selected."""

    terms: tuple[Term, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(term.holds(labels) for term in self.terms)


EVERYTHING = Selector()


def parse_selector(text: str) -> Selector:
    """A selector as for ``kubectl -l``: ``a=b,c!=d,e,!f,g in (h,i),j notin (k)``; an empty text selects everything.

    Raises:
        ValueError: it is none; the message names the part that cannot be read.
    """
    return Selector(tuple(_terms(text)))


def _terms(text: str) -> Iterator[Term]:
    place = 0
    while text[place:].strip():
        match = _TERM.match(text, place)
        if match is None or (match["absent"] and (match["sign"] or match["among"])):
            raise ValueError(text[place : place + 40].strip())
        place = match.end()
        if match["among"]:
            values = tuple(value.strip() for value in match["values"].split(","))
            yield Term(match["key"], values, match["among"] == "in")
        elif match["sign"]:
            yield Term(match["key"], (match["value"],), match["sign"] != "!=")
        else:
            yield Term(match["key"], (), not match["absent"])
