"""Row 45: the way to the backends takes smaller packets than the tunnel makes; small ones pass all the same."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.lab.faults.scenes import OTHER, UDP, VIP4, VIP6, three_vips
from tests.lab.faults.trial import Trial
from tests.lab.serving import STARTED_WITHIN_S, Serving
from tests.lab.topology import Director

LATE = "10.50.0.8"
TOO_SMALL = "path MTU too small: 10.1.1.0/24 takes 1400, 10.1.2.0/24 takes 1400, 10.1.3.0/24 takes 1400 of 1500 bytes"


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with three_vips() as serving:
        yield serving


def alarm(serving: Serving, director: Director) -> str:
    return str(serving.asked(director)["conditions"].get("mtu", ""))


def refused(serving: Serving, director: Director, vip: str) -> bool:
    vips: list[dict[str, Any]] = serving.asked(director)["vips"]
    found = next((each for each in vips if each["vip"] == vip), {})
    return found.get("state") == "withdrawn" and found["reason"] == f"{TOO_SMALL} needed"


def test_fault_45_running_vips_are_held_and_a_new_one_is_refused_by_running_and_by_starting_directors(
    serving: Serving, trial: Trial
) -> None:
    running, starting = serving.lab.directors
    serving.lab.serve(LATE)
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            for director in (running, starting):
                director.ip("link set eth0 mtu 1400")
        for director in (running, starting):
            seen = trial.sees(partial(alarm, serving, director), "the alarm")
            assert seen == f"{TOO_SMALL} needed, and 3 more subnets are too small"
        trial.hears_nothing()

        serving.daemons[starting.name].kill()
        serving.write("late", LATE, ports=(80, UDP))
        serving.start(starting).wait_for_log("adopted", STARTED_WITHIN_S)
        for director in (running, starting):
            trial.sees(partial(refused, serving, director, LATE), f"{director.name} to refuse the new VIP")
        trial.hears_nothing()

        with trial.cure():
            running.ip("link set eth0 mtu 1500")
        trial.hears({running.name}, announced=[LATE])
        assert refused(serving, starting, LATE)
        starting.ip("link set eth0 mtu 1500")
        trial.hears({starting.name}, announced=[LATE])
    assert not any(serving.asked(director)["conditions"] for director in (running, starting))
    (serving.services / "late.yaml").unlink()
    trial.hears(withdrawn=[LATE])
