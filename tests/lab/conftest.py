"""Fixtures of the lab, and what a failed test shows: the log of every daemon."""

import os
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.lab.topology import STANDING, Lab, build_lab

# What a file's lab takes to build, in tests.
BUILDING = 5


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
    """``LAB_SHARD=1/2`` keeps half of the work: whole files, so that no two kernels build what its tests share."""
    place, _, shards = os.environ.get("LAB_SHARD", "1/1").partition("/")
    loads = [0] * int(shards)
    mine: set[Path] = set()
    for path, tests in Counter(item.path for item in items).most_common():
        lightest = loads.index(min(loads))
        loads[lightest] += tests + BUILDING
        if lightest == int(place) - 1:
            mine.add(path)
    config.hook.pytest_deselected(items=[item for item in items if item.path not in mine])
    items[:] = [item for item in items if item.path in mine]
