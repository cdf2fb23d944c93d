"""`balanced doctor` on a node that serves, on one that is made ill, and where no director runs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.hosts import wait_until
from tests.lab.serving import STARTED_WITHIN_S, Serving
from tests.lab.topology import TREE, Director, build_lab

VIP = "10.50.0.1"
SLOPPY = "net.ipv4.vs.sloppy_tcp"


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """One director that announces one VIP."""
    with build_lab() as lab:
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services)
        lab.serve(VIP)
        serving.write("web", VIP)
        serving.start(lab.directors[0])
        serving.wait_for(VIP, {"director1"})
        yield serving


def findings(director: Director) -> dict[str, list[tuple[str, str]]]:
    """What the doctor says of a director's host: check -> grades and texts."""
    config = director.folder / "appliance.yaml"
    answer: dict[str, Any] = json.loads(director.balanced("doctor", "--json", "--config", str(config), check=False))
    found: dict[str, list[tuple[str, str]]] = {}
    for each in answer["findings"]:
        assert bool(each["do"]) == (each["is"] != "ok")
        found.setdefault(each["check"], []).append((each["is"], each["text"]))
    return found


def alarm(serving: Serving, name: str) -> str:
    return str(serving.asked(serving.lab.directors[0])["conditions"].get(name, ""))


def test_a_director_that_serves_is_found_well(serving: Serving) -> None:
    """But for what the lab is: an older kernel, a small connection table, BIRD on all addresses."""
    director = serving.lab.directors[0]
    found = findings(director)

    well = {name for name, each in found.items() if {grade for grade, _ in each} == {"ok"}}
    assert {"modules", "settings", "rp_filter", "backends", "bird", "permissions", "space", "addresses"} <= well
    assert found["permissions"][0][1].startswith(f"the director (process {serving.daemons['director1'].popen.pid})")
    assert found["backends"] == [("ok", "3 backend subnets reached, with 1500 bytes at least")]
    assert not [texts for texts in found.values() if "fail" in dict(texts)]


def test_a_setting_that_somebody_changes_is_put_right(serving: Serving) -> None:
    director = serving.lab.directors[0]
    director.run(["sysctl", "-qw", f"{SLOPPY}=0"])
    wait_until(lambda: director.run(["sysctl", "-n", SLOPPY]).strip() == "1", 15, "the setting to be put right")
    text = "sysctl changed SYSCTL=net/ipv4/vs/sloppy_tcp FROM=0 TO=1"
    wait_until(lambda: text in serving.daemons["director1"].text(), 5, "a line that says so")


def test_a_vip_that_becomes_an_address_of_the_node_is_held_and_told(serving: Serving) -> None:
    director = serving.lab.directors[0]
    with serving.no_route_change():
        director.ip(f"address add {VIP}/24 dev eth0")
        wait_until(lambda: alarm(serving, "own address"), 10, "the condition")
        ((grade, text),) = findings(director)["addresses"]
        assert (grade, text.split(" is an address")[0]) == ("fail", f"eth0: {VIP}")
        director.ip(f"address del {VIP}/24 dev eth0")
        wait_until(lambda: not alarm(serving, "own address"), 10, "its end")


def test_the_table_fits_80_columns_and_works_without_a_director(serving: Serving) -> None:
    director = serving.lab.directors[0]
    serving.daemons["director1"].kill()
    config = director.folder / "appliance.yaml"
    text = director.run(
        ["env", "COLUMNS=80", str(TREE / ".venv/bin/balanced"), "doctor", "--config", str(config)],
        check=False,
        timeout_s=STARTED_WITHIN_S,
    )
    assert max(map(len, text.splitlines())) <= 80
    assert "this process has the capabilities it needs" in text
