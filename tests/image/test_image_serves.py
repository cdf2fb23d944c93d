"""The director on the booted node, once it is configured."""

import json
import time
from typing import Any

import pytest

DEADLINE_S = 600
# What a machine in a test cannot have, and why not.
TOLERATED = {
    "clock": "no time server answers there",
    "links": "an emulated card has neither rings nor offloads to set",
    "backends": "there is nothing to serve, so no route to prove",
}


def test_the_director_becomes_ready(configured: Any) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while configured.run("systemctl is-active balanced-director").stdout.strip() != "active":
        assert time.monotonic() < deadline, configured.check_output("journalctl -u balanced-director -n 30 --no-pager")
    assert configured.run("balanced status --json").rc in (0, 3)


def test_the_doctor_finds_nothing_wrong_with_the_host(configured: Any) -> None:
    found = configured.run("balanced doctor --json")
    findings = json.loads(found.stdout)["findings"]
    wrong = [each for each in findings if each["is"] != "ok" and each["check"] not in TOLERATED]
    assert wrong == []


def test_the_journal_has_fields_and_the_catalog_explains_them(configured: Any) -> None:
    entries = configured.check_output("journalctl -u balanced-director -o json --no-pager").splitlines()
    told = [entry for line in entries if "MESSAGE_ID" in (entry := json.loads(line)) and entry["_PID"] != "1"]
    assert any(name.startswith("BALANCED_") for entry in told for name in entry)
    for identity in {entry["MESSAGE_ID"] for entry in told}:
        assert "BalanceD" in configured.check_output(f"journalctl --list-catalog --no-pager {identity}")


@pytest.mark.parametrize(("unit", "most"), [("balanced-director", 20), ("balanced-host-filter", 60)])
def test_the_unit_is_confined(configured: Any, unit: str, most: int) -> None:
    """Systemd's own score, ten times over: 17 is "OK", a unit without any confinement has 96."""
    assert configured.run(f"systemd-analyze security --threshold={most} {unit}").rc == 0


def test_nothing_has_failed_once_the_director_runs(configured: Any) -> None:
    assert configured.check_output("systemctl list-units --state=failed --plain --no-legend") == ""


def test_a_restart_of_the_host_filter_leaves_other_tables_alone(configured: Any) -> None:
    configured.check_output("nft add table inet somebody_elses")
    configured.check_output("systemctl restart balanced-host-filter")
    assert configured.run("nft list table inet somebody_elses").rc == 0
