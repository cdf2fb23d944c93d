"""What the director counts about itself as it goes; everything else in a scrape is read when it is asked for."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from appliance.telemetry.exposition import Family, Sample, labels
from appliance.telemetry.metrics import Kind, Metric


class Meter:
    """Counters, gauges and histograms by metric and labels. Not for use by two threads at once.

    Label values are words of our own or names of the configuration: whatever a cluster may name is not counted here,
    since nothing is ever forgotten.
    """

    def __init__(self) -> None:
        self._values: dict[Metric, dict[tuple[str, ...], float]] = {}
        self._histograms: dict[Metric, dict[tuple[str, ...], _Histogram]] = {}

    def add(self, metric: Metric, *values: str, by: float = 1) -> None:
        """Count ``by`` more."""
        known = self._values.setdefault(metric, {})
        known[values] = known.get(values, 0) + by

    def set(self, metric: Metric, value: float, *values: str) -> None:
        """The gauge is ``value`` now."""
        self._values.setdefault(metric, {})[values] = value

    def observe(self, metric: Metric, value: float, *values: str) -> None:
        """Put ``value`` into a histogram."""
        known = self._histograms.setdefault(metric, {})
        if values not in known:
            known[values] = _Histogram(metric.buckets)
        known[values].observe(value)

    def families(self, metrics: Iterable[Metric]) -> Iterator[Family]:
        """Those of ``metrics`` that were counted, as they are now. A counter without labels that was not is 0."""
        for metric in metrics:
            if metric.kind is Kind.HISTOGRAM:
                yield Family(metric, list(self._buckets(metric)))
            else:
                known = self._values.get(metric, {} if metric.labels else {(): 0})
                yield Family(metric, [(labels(metric.labels, values), value) for values, value in known.items()])

    def _buckets(self, metric: Metric) -> Iterator[Sample]:
        for values, histogram in self._histograms.get(metric, {}).items():
            yield from histogram.samples(metric.labels, values)


class _Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self, names: tuple[str, ...], values: tuple[str, ...]) -> Iterator[Sample]:
        """Buckets count everything up to their bound, the bound included."""
        total = 0
        for bound, count in zip((*map(repr, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            yield "_bucket" + labels((*names, "le"), (*values, bound)), total
        yield "_sum" + labels(names, values), self._sum
        yield "_count" + labels(names, values), total
