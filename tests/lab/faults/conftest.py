"""What the tests of one theme share: two directors that serve a few VIPs, and one trial for each test."""

import os
import re
from collections.abc import Iterator

import pytest

from tests.lab.faults.rows import ROWS
from tests.lab.faults.trial import Trial
from tests.lab.faults.watcher import Watcher
from tests.lab.hosts import wait_until
from tests.lab.serving import Serving


@pytest.fixture
def trial(serving: Serving, request: pytest.FixtureRequest) -> Iterator[Trial]:
    """The trial of the row that the test is named by; it begins when all VIPs are announced and nothing is pending."""
    name: str = request.node.name
    found = re.match(r"test_fault_(\d\d)_", name)
    assert found, f"{name}: name the row, as in test_fault_07_..."
    calm(serving)
    trial = Trial(ROWS[int(found[1])], name, serving, Watcher(serving.lab.router))
    yield trial
    trial.end()
    trial.keep()


def calm(serving: Serving) -> None:
    """Wait until every director announces what it should as it should, and counts no repair any more.

    What a trial that failed left dead is started again.
    """
    directors = [each for each in serving.lab.directors if each.name in serving.daemons]
    for director in directors:
        if not serving.daemons[director.name].running:
            serving.start(director)
    for vip in serving.vips:
        serving.wait_for(vip, serving.daemons)
    sessions = serving.lab.router.sessions
    wait_until(lambda: all(sessions()[each].established for each in serving.daemons), 60, "all sessions")
    wait_until(lambda: not any(map(serving.repairs, directors)), 15, "repairs to be forgotten")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What changes the whole kernel, its modules and its clock, is not done to a machine's own (LAB_KERNEL=host)."""
    if os.environ.get("LAB_KERNEL") == "host":
        spared = [item for item in items if re.match(r"test_fault_(21|22|40)_", item.name)]
        config.hook.pytest_deselected(items=spared)
        items[:] = [item for item in items if item not in spared]
