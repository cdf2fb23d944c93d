"""Fixtures of the lab, and what a failed test shows: the log of every daemon."""

import os
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.lab.topology import STANDING, Lab, build_lab

# What a test takes, in seconds, by a part of its path; the others take some two. By it two kernels end at about
# the same time, no more is meant.
TAKES_S: dict[str, float] = {
    "/faults/": 11,
    "/crash/": 10,
    "/soak/": 14,
    "test_path_mtu": 22,
    "test_kubernetes": 20,
    "test_many": 35,
    "test_ipam": 10,
    "test_checks": 6,
    "test_director": 4,
    "test_dual_stack": 4,
    "test_tunnels": 0.3,
}
ORDINARY_S = 2.0
# What a file's lab takes to build.
BUILDING_S = 5.0


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
    loads = [0.0] * int(shards)
    mine: set[Path] = set()
    takes = {path: tests * _takes_s(path) + BUILDING_S for path, tests in Counter(item.path for item in items).items()}
    for path in sorted(takes, key=lambda path: (-takes[path], path)):
        lightest = loads.index(min(loads))
        loads[lightest] += takes[path]
        if lightest == int(place) - 1:
            mine.add(path)
    config.hook.pytest_deselected(items=[item for item in items if item.path not in mine])
    items[:] = [item for item in items if item.path in mine]


def _takes_s(path: Path) -> float:
    return next((seconds for part, seconds in TAKES_S.items() if part in str(path)), ORDINARY_S)
