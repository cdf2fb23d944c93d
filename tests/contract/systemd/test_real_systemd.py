"""The units under a systemd of their own: its restarts, its watchdog, its hardening. Run as root, with real BIRD."""

import json
from typing import Any

import pytest

from appliance.telemetry import messages
from tests.contract.systemd.own_systemd import NET_ADMIN, tell
from tests.unit.director.harness import VIP


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is seen of a director to which everything happens."""
    return tell(tmp_path_factory.mktemp("systemd"), "faults")


def test_a_director_becomes_ready_under_the_units_hardening(told: dict[str, Any]) -> None:
    limits = told["limits"]
    assert limits["Uid"].split() == ["990"] * 4
    assert "105" in limits["Groups"].split()
    assert int(limits["CapEff"], 16) == 1 << NET_ADMIN
    assert (limits["NoNewPrivs"], limits["Seccomp"]) == ("1", "2")


def test_systemctl_status_says_how_it_is(told: dict[str, Any]) -> None:
    assert told["status"] == "1 of 1 VIPs announced; 2 of 2 BGP sessions up"


def test_fault_1_a_killed_director_is_back_within_seconds_and_no_last_will_is_read(told: dict[str, Any]) -> None:
    assert max(told["killed"]) < 5
    assert told["wills before"] == 0


def test_fault_2_a_director_that_hangs_is_ended_by_the_watchdog(told: dict[str, Any]) -> None:
    assert 8 < told["hung"] < 20


def test_fault_3_a_crash_loop_ends_with_the_last_will_within_30_s(told: dict[str, Any]) -> None:
    assert told["lost"] < 30
    assert told["will"] == ["success", "0"]
    assert "(65535,0)" not in told["routes before"]
    assert f"{VIP}/32" in told["routes after"]
    assert "(65535,0)" in told["routes after"]


def test_the_last_wills_line_is_filed_under_its_own_identifier(told: dict[str, Any]) -> None:
    """The unit adds it: the script knows nothing of the journal but priorities."""
    (line,) = map(json.loads, told[messages.LOST.id])
    assert line["MESSAGE"] == "the director is lost: routes are de-preferred (reconfigured)"
    assert line["PRIORITY"] == "4"
    assert line["SYSLOG_IDENTIFIER"] == "balanced-director"


def test_a_director_that_systemd_started_sends_its_fields_to_the_journal(told: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in told[messages.STARTING.id]]
    assert lines[0]["_TRANSPORT"] == "journal"
    assert lines[0]["BALANCED_NODE"] == "lb1"


def test_what_a_director_adopts_outlives_it(told: dict[str, Any]) -> None:
    """RuntimeDirectoryPreserve=yes: otherwise BIRD's include files would go with the director."""
    assert {"bird", "last-will.json"} <= set(told["kept"])
