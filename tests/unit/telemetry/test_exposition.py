"""The text format: what a parser that is not ours reads out of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from appliance.telemetry.exposition import LINES_AT_ONCE, MAX_LABEL_CHARACTERS, Family, labels, text
from appliance.telemetry.metrics import Kind, Metric
from appliance.telemetry.reference import METRICS

GAUGE = Metric("a_gauge", Kind.GAUGE, 'A "quoted" help\\with\nsigns.', ("name",))


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=MAX_LABEL_CHARACTERS))
def test_any_text_in_a_label_comes_out_as_it_was(value: str) -> None:
    written = "".join(text([Family(GAUGE, [(labels(GAUGE.labels, (value,)), 1)])]))

    (family,) = text_string_to_metric_families(written)
    assert [sample.labels for sample in family.samples] == [{"name": value}]


def test_a_long_label_is_cut_off() -> None:
    assert labels(("name",), ("x" * 10_000,)) == f'{{name="{"x" * MAX_LABEL_CHARACTERS}"}}'


def test_a_metric_without_samples_is_left_out() -> None:
    assert not list(text([Family(GAUGE, [])]))


def test_many_samples_come_in_pieces_under_one_head() -> None:
    pieces = list(text([Family(GAUGE, [(labels(("name",), (n,)), n) for n in range(2 * LINES_AT_ONCE + 1)])]))

    assert [piece.count("\n") for piece in pieces] == [LINES_AT_ONCE + 2, LINES_AT_ONCE, 1]
    assert "".join(pieces).count("# TYPE") == 1


def test_samples_are_not_worked_out_before_they_are_taken() -> None:
    samples = iter([(labels(("name",), (n,)), n) for n in range(2 * LINES_AT_ONCE)])

    next(text([Family(GAUGE, samples)]))

    assert len(list(samples)) == LINES_AT_ONCE


def test_signs_in_a_help_text_do_not_break_its_line() -> None:
    (family,) = text_string_to_metric_families("".join(text([Family(GAUGE, [('{name="a"}', 1)])])))

    assert family.documentation == GAUGE.help


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_row_of_the_table_is_well_formed(metric: Metric) -> None:
    """Names as Prometheus wants them; a histogram has buckets in order and nobody else has any; help is one line."""
    words = [metric.name, *metric.labels]
    assert all(word.isascii() and word.isidentifier() and word == word.lower() for word in words)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert bool(metric.buckets) is (metric.kind is Kind.HISTOGRAM)
    assert metric.help.endswith(".")
    assert metric.help == json.loads(json.dumps(metric.help)).replace("\n", " ")
    assert "|" not in metric.help


def test_no_name_stands_in_the_table_twice() -> None:
    names = [metric.name for metric in METRICS]

    assert sorted(names) == sorted(set(names))
