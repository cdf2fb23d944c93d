"""A trial can fail: what the router hears and the test does not name, what it misses, and what a client loses."""

from collections.abc import Iterator

import pytest

from tests.lab.by_hand import VIP4, VIP6, bring_up, wait_for_routes
from tests.lab.faults.rows import ROWS
from tests.lab.faults.trial import Trial
from tests.lab.faults.watcher import Watcher
from tests.lab.serving import Serving
from tests.lab.topology import Lab, build_lab

FIRST, SECOND = ["director1"], {"director2"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    with build_lab() as lab:
        bring_up(lab)
        yield lab


@pytest.fixture
def trial(shared: Lab) -> Iterator[Trial]:
    """The VIPs are back at the end."""
    yield Trial(ROWS[19], "test", Serving(shared, shared.client.folder), Watcher(shared.router))
    for director in shared.directors:
        director.birdc("enable vips4")
    wait_for_routes(shared, VIP4, {"director1", "director2"})


def test_what_is_named_is_heard_and_timed(shared: Lab, trial: Trial) -> None:
    with trial.fault():
        shared.directors[0].birdc("disable vips4")
    trial.hears(FIRST, withdrawn=[VIP4])
    with trial.cure():
        shared.directors[0].birdc("enable vips4")
    trial.hears(FIRST, announced=[VIP4])
    trial.end()
    assert trial.updates == 1
    assert trial.measured_s is not None
    assert 0 < trial.measured_s < 5


def test_what_is_not_named_fails_the_trial(shared: Lab, trial: Trial) -> None:
    with trial.fault():
        shared.directors[0].birdc("disable vips4")
    wait_for_routes(shared, VIP4, SECOND)
    with pytest.raises(AssertionError, match=rf"should not: director1 withdrawn {VIP4}"):
        trial.end()


def test_what_is_missing_fails_the_trial(shared: Lab, trial: Trial) -> None:
    with trial.fault():
        shared.directors[0].birdc("disable vips4")
    with pytest.raises(AssertionError, match=rf"missing at the router: director1 withdrawn {VIP6}; too much: $"):
        trial.hears(FIRST, withdrawn=[VIP4, VIP6], within_s=3)


def test_a_route_that_is_said_twice_counts_twice(shared: Lab, trial: Trial) -> None:
    director = shared.directors[0]
    for command in ("disable", "enable", "disable"):
        director.birdc(f"{command} vips4")
        wait_for_routes(shared, VIP4, SECOND if command == "disable" else {"director1", "director2"})
    with pytest.raises(AssertionError, match=rf"too much: .*director1 withdrawn {VIP4}"):
        trial.hears(FIRST, withdrawn=[VIP4])


def test_a_lost_session_fails_the_trial(shared: Lab, trial: Trial) -> None:
    shared.directors[1].birdc("restart uplink")
    wait_for_routes(shared, VIP6, set(FIRST))
    wait_for_routes(shared, VIP6, {"director1", "director2"})
    with pytest.raises(AssertionError, match="sessions that were lost: director2"):
        trial.watcher.check()


def test_a_datagram_that_nobody_answers_fails_the_trial(shared: Lab, trial: Trial) -> None:
    for director in shared.directors:
        director.birdc("disable vips4")
    wait_for_routes(shared, VIP4, set())
    with pytest.raises(AssertionError, match=rf"lost \{{'{VIP4}'"), trial.steady(VIP4, VIP6):
        wait_for_routes(shared, VIP4, set())
