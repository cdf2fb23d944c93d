"""A director with a network namespace of its own, under its hardened unit and a systemd of their own. Run as root."""

from typing import Any

import pytest

from tests.contract.systemd.own_systemd import NET_ADMIN, SYS_ADMIN, tell


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is seen of such a director, started on a host that never had a namespace."""
    more = "director: {netns: lvs, netns_networks: [10.9.0.10/31]}\n"
    return tell(tmp_path_factory.mktemp("isolated"), "isolated", more)


def test_it_becomes_ready_with_one_capability_more_than_usual(told: dict[str, Any]) -> None:
    limits = told["limits"]
    assert limits["Uid"].split() == ["990"] * 4
    assert int(limits["CapEff"], 16) == 1 << NET_ADMIN | 1 << SYS_ADMIN
    assert (limits["NoNewPrivs"], limits["Seccomp"]) == ("1", "2")
    assert told["status"].startswith("1 of 1 VIPs announced")


def test_the_namespace_is_there_with_the_way_to_it(told: dict[str, Any]) -> None:
    assert "links vip-veth and host-veth" in told["place"]
    assert "10.9.0.11" in told["addresses"]
    assert "default" in told["routes"]


def test_it_may_write_the_settings_by_which_the_host_forwards(told: dict[str, Any]) -> None:
    assert told["forwarding"] == "1"


def test_after_a_kill_the_next_one_finds_all_of_it_again(told: dict[str, Any]) -> None:
    assert told["killed"] < 5
    assert told["same namespace"]
    assert told["place again"] == ""
