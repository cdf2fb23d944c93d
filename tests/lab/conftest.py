"""Fixtures of the lab, and what a failed test shows: the log of every daemon."""

import os
from collections.abc import Generator, Iterator

import pytest

from tests.lab.topology import STANDING, Lab, build_lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A fresh lab for one test."""
    with build_lab() as built:
        yield built


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        logs = {process.name: process for lab in STANDING for process in lab.processes}
        report.sections += [(f"log of {name}", process.text()) for name, process in logs.items()]
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``LAB_SHARD=1/2`` keeps the first half of the tests: several kernels share the work that way."""
    shard = os.environ.get("LAB_SHARD", "1/1")
    place, _, shards = shard.partition("/")
    mine = items[int(place) - 1 :: int(shards)]
    config.hook.pytest_deselected(items=[item for item in items if item not in mine])
    items[:] = mine
