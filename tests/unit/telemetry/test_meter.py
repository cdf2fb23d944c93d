"""What is counted comes out as Prometheus understands it."""

from prometheus_client.parser import text_string_to_metric_families

from appliance.telemetry.exposition import text
from appliance.telemetry.meter import Meter
from appliance.telemetry.metrics import Kind, Metric

COUNTER = Metric("things_total", Kind.COUNTER, "Things.", ("kind",))
PLAIN = Metric("plain_total", Kind.COUNTER, "Plain.")
TIMES = Metric("times_seconds", Kind.HISTOGRAM, "Times.", ("stage",), buckets=(0.1, 1.0))


def samples(meter: Meter, *metrics: Metric) -> dict[str, float]:
    written = "".join(text(meter.families(metrics)))
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(written)
        for sample in family.samples
    }


def test_a_counter_adds_up_by_its_labels() -> None:
    meter = Meter()
    meter.add(COUNTER, "a")
    meter.add(COUNTER, "b", by=2)
    meter.add(COUNTER, "a", by=3)

    assert samples(meter, COUNTER) == {"things_total[('kind', 'a')]": 4, "things_total[('kind', 'b')]": 2}


def test_a_counter_without_labels_is_there_from_the_start() -> None:
    """Otherwise its first step from nothing to 1 would be no increase."""
    assert samples(Meter(), PLAIN, COUNTER) == {"plain_total[]": 0}


def test_a_gauge_is_what_it_was_set_to_last() -> None:
    gauge = Metric("level", Kind.GAUGE, "Level.")
    meter = Meter()
    meter.set(gauge, 7)
    meter.set(gauge, 3)

    assert samples(meter, gauge) == {"level[]": 3}


def test_a_histogram_counts_up_to_and_with_each_bound() -> None:
    meter = Meter()
    for value in (0.1, 0.5, 1.0, 9.0):
        meter.observe(TIMES, value, "kernel")

    found = samples(meter, TIMES)
    at = {key.split("'le', '")[1][:4].rstrip("')]"): value for key, value in found.items() if "bucket" in key}
    assert at == {"0.1": 1, "1.0": 3, "+Inf": 4}
    assert found["times_seconds_count[('stage', 'kernel')]"] == 4
    assert found["times_seconds_sum[('stage', 'kernel')]"] == 10.6
