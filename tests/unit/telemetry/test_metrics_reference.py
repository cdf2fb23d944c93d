"""The reference of metrics is the table's."""

from pathlib import Path

from appliance.telemetry.reference import METRICS, reference

WRITTEN = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def test_the_written_reference_of_metrics_is_the_generated_one() -> None:
    """After a change: python -m appliance.telemetry.reference > docs/reference/metrics.md."""
    assert WRITTEN.read_text(encoding="utf-8") == reference()


def test_every_metric_has_its_row() -> None:
    assert [metric.name for metric in METRICS if f"| `{metric.name}` |" not in reference()] == []
