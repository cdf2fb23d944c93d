"""Metrics as text in the Prometheus exposition format 0.0.4, a piece at a time.

https://prometheus.io/docs/instrumenting/exposition_formats/: all lines of a metric stand together, below its HELP and
TYPE lines.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from appliance.telemetry.metrics import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Some 60 KB of the longest lines: below a millisecond of work.
LINES_AT_ONCE = 200
MAX_LABEL_CHARACTERS = 256

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Sample = tuple[str, float]
"""What stands behind the metric's name (the labels), and the value."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric and its samples, which may be worked out while they are written."""

    metric: Metric
    samples: Iterable[Sample]


def text(families: Iterable[Family]) -> Iterator[str]:
    """The families as text, in pieces of at most LINES_AT_ONCE samples; a metric without samples is left out."""
    for family in families:
        name = family.metric.name
        samples = iter(family.samples)
        head = f"# HELP {name} {_help(family.metric.help)}\n# TYPE {name} {family.metric.kind.value}\n"
        while batch := list(islice(samples, LINES_AT_ONCE)):
            yield head + "".join([f"{name}{behind} {value}\n" for behind, value in batch])
            head = ""


def pairs(names: Sequence[str], values: Iterable[object]) -> str:
    """Labels without their braces: ``vip="10.50.0.1",reason="kernel"``; a value may hold any text, and is cut off."""
    return ",".join([f'{name}="{escaped(str(value))}"' for name, value in zip(names, values, strict=True)])


def labels(names: Sequence[str], values: Iterable[object]) -> str:
    """Labels as they stand behind a name; nothing where there are none."""
    return f"{{{pairs(names, values)}}}" if names else ""


def escaped(value: str) -> str:
    """A label's value between its quotes."""
    return value[:MAX_LABEL_CHARACTERS].translate(_ESCAPES)


def _help(words: str) -> str:
    return words.replace("\\", r"\\").replace("\n", r"\n")
