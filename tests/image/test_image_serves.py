"""The director on the booted node, once it is configured."""

import json
import time
from typing import Any

DEADLINE_S = 120
# Of a machine in a test: an emulated card, a clock that nobody sets, and no router on the other side.
TOLERATED = {"clock", "links", "open ports"}


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
    assert any(json.loads(entry).get("MESSAGE_ID") for entry in entries)
    assert "BalanceD" in configured.check_output("journalctl --list-catalog --no-pager")


def test_the_director_is_confined(configured: Any) -> None:
    """Systemd's own score, ten times over: 17 is "OK", a unit without any confinement has 96."""
    assert configured.run("systemd-analyze security --threshold=20 balanced-director").rc == 0


def test_a_restart_of_the_host_filter_leaves_other_tables_alone(configured: Any) -> None:
    configured.check_output("nft add table inet somebody_elses")
    configured.check_output("systemctl restart balanced-host-filter")
    assert configured.run("nft list table inet somebody_elses").rc == 0
