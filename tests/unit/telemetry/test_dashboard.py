"""The dashboard asks for metrics and labels that there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from appliance.telemetry.metrics import Kind
from appliance.telemetry.reference import METRICS

DASHBOARD = json.loads((Path(__file__).parents[3] / "templates" / "grafana" / "director.json").read_text())
NAMES = {metric.name for metric in METRICS if metric.kind is not Kind.HISTOGRAM} | {
    metric.name + suffix
    for metric in METRICS
    if metric.kind is Kind.HISTOGRAM
    for suffix in ("_bucket", "_sum", "_count")
}
LABELS = {label for metric in METRICS for label in metric.labels} | {"le", "instance", "job"}
QUERIES = [
    pytest.param(target, id=f"{panel['title']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
]


def strange(expression: str) -> set[str]:
    """Names in an expression that are neither ours nor, as labels, of our metrics."""
    named = set(re.findall(r"\b(?:balanced|process)_\w+", expression)) - NAMES
    selected = {each for part in re.findall(r"\{(.*?)\}", expression) for each in re.findall(r"(\w+)\s*[=!]", part)}
    grouped = {each.strip() for part in re.findall(r"\b(?:by|on) \((.*?)\)", expression) for each in part.split(",")}
    return named | (selected | grouped) - LABELS


@pytest.mark.parametrize("target", QUERIES)
def test_a_query_names_nothing_that_is_not_there(target: dict[str, Any]) -> None:
    assert strange(target["expr"]) == set()
    assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= LABELS


def test_a_name_that_is_not_there_would_be_found() -> None:
    assert strange('sum by (kind) (balanced_director_nothing{where="x"})') == {"balanced_director_nothing", "where"}


def test_no_two_panels_lie_on_each_other() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


ALARMS = re.findall(
    r"^\|[^|]+\| `([^`]+)`", (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize("expression", [each for each in ALARMS if "balanced_" in each])
def test_an_alarm_in_the_documents_names_nothing_that_is_not_there(expression: str) -> None:
    assert strange(expression) == set()


def test_the_documents_have_alarms() -> None:
    assert len([each for each in ALARMS if "balanced_" in each]) >= 6
