"""What a run measured, beside what is wanted: as a table for people, as JSON for comparisons over time."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. ``least`` and ``most`` are the wanted bounds, None where there is none."""

    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the value lies inside its bounds."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def wanted(self) -> str:
        """The bounds in words, empty where there are none."""
        bounds = ((">=", self.least), ("<=", self.most))
        return " ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)

    @property
    def verdict(self) -> str:
        """``ok`` or ``MISSED`` for a value that is wanted."""
        return "" if not self.wanted else "ok" if self.holds else "MISSED"


@dataclass
class Report:
    """The figures of a run, and the raw samples they were made of."""

    figures: list[Figure] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str, *, least: float | None = None, most: float | None = None) -> None:
        """Add a figure and say it."""
        figure = Figure(name, value, unit, least, most)
        self.figures.append(figure)
        say(f"{figure.name}: {figure.value:.3g} {figure.unit} {figure.verdict}")

    def add_median(self, name: str, samples: Sequence[float], unit: str = "s", *, most: float | None = None) -> float:
        """Add the median of ``samples`` as a figure, keep the samples, and return the median."""
        self.samples[name] = list(samples)
        value = median(samples)
        self.add(f"{name}, median of {len(samples)}", value, unit, most=most)
        return value

    def table(self) -> str:
        """Every figure in a line of its own."""
        rows = [("", "measured", "", "wanted", "")]
        rows += [(each.name, f"{each.value:.3g}", each.unit, each.wanted, each.verdict) for each in self.figures]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        return "\n".join(
            f"{row[0]:{widths[0]}}  {row[1]:>{widths[1]}} {row[2]:{widths[2]}}  {row[3]:{widths[3]}}  {row[4]}".rstrip()
            for row in rows
        )

    def save(self, path: Path) -> None:
        """Write figures and samples as JSON."""
        path.parent.mkdir(exist_ok=True)
        content = {"figures": [asdict(each) for each in self.figures], "samples": self.samples}
        path.write_text(json.dumps(content, indent=1) + "\n")


def say(text: str) -> None:
    """A line of progress."""
    print(f"  {text}", flush=True)
