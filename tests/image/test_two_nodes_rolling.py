"""A change that is rolled over two booted directors while a client opens one connection after the other."""

from pathlib import Path

import pytest

from tests.image.bed import Bed, configuration
from tests.image.farside import CLOSED_VIPS, DIRECTORS, VIPS, wait_until

pytestmark = pytest.mark.bed
BOTH = tuple(DIRECTORS)
# What these tests change is of this role; each of the others takes minutes under emulation.
QUICK = {"rolling_roles": ["appliance"], "rolling_healthy_within_s": 20}
# An AS in which the router does not know us: `balanced check` cannot see that, and no session comes up again.
NOBODY_KNOWS_THIS_AS = 64999


@pytest.fixture(autouse=True)
def calm(serving: Bed) -> None:
    """Every test begins with all VIPs announced by both directors."""
    for vip in (*VIPS, *CLOSED_VIPS):
        serving.announced(vip, *BOTH)


def drained(bed: Bed, director: str) -> bool:
    return bed.balanced(director, "status")["drain"] is not None


def test_a_release_rolls_over_both_without_a_failed_request(serving: Bed) -> None:
    before = {name: _process(serving, name) for name in BOTH}
    release = _another_release(serving)
    with serving.far.traffic(*VIPS) as traffic:
        rolled = serving.play("rolling.yml", appliance_wheelhouse=str(release), **QUICK)
    assert rolled.status == 0, rolled.output
    for name, node in serving.directors.items():
        assert not drained(serving, name)
        assert node.tell("readlink /opt/balanced/current").strip() == release.stem
        assert _process(serving, name) != before[name]
    assert traffic["failures"] == []
    assert traffic["asked"] > 20


def test_fault_51_a_node_that_does_not_get_well_stays_drained_and_the_other_serves(serving: Bed) -> None:
    """The next run, with the mistake put right, goes on where this one ended."""
    wrong = configuration(local_as=NOBODY_KNOWS_THIS_AS)
    with serving.far.traffic(*VIPS) as traffic:
        rolled = serving.play("rolling.yml", appliance_config=wrong, **{**QUICK, "rolling_healthy_within_s": 5})
        assert rolled.status != 0, rolled.output
        assert {name: drained(serving, name) for name in BOTH} == {"lb1": True, "lb2": False}
        for vip in VIPS:
            serving.announced(vip, "lb2")
        assert str(NOBODY_KNOWS_THIS_AS) not in serving.directors["lb2"].tell("cat /etc/balanced/appliance.yaml")
        resumed = serving.play("rolling.yml", **QUICK)
        assert resumed.status == 0, resumed.output
        for vip in VIPS:
            serving.announced(vip, *BOTH)
    assert {name: drained(serving, name) for name in BOTH} == dict.fromkeys(BOTH, False)
    assert traffic["failures"] == []


def test_fault_51_a_play_that_is_killed_leaves_its_node_drained_and_the_next_begins_with_that_one(serving: Bed) -> None:
    with serving.far.traffic(*VIPS) as traffic:
        with serving.playing("rolling.yml", "--limit=lb2", **QUICK):
            wait_until(lambda: drained(serving, "lb2"), "lb2 to be drained")
        for vip in VIPS:
            serving.announced(vip, "lb1")
        resumed = serving.play("rolling.yml", **QUICK)
        assert resumed.status == 0, resumed.output
    assert {name: drained(serving, name) for name in BOTH} == dict.fromkeys(BOTH, False)
    assert traffic["failures"] == []


def test_nothing_is_drained_where_nobody_else_announces(serving: Bed) -> None:
    serving.directors["lb2"].tell("balanced drain --now --reason 'a test'")
    try:
        for vip in VIPS:
            serving.announced(vip, "lb1")
        refused = serving.play("rolling.yml", "--limit=lb1")
        assert refused.status != 0
        assert "Nobody else would serve while lb1 is drained" in refused.output
        assert not drained(serving, "lb1")
    finally:
        serving.directors["lb2"].tell("balanced undrain")


def _process(bed: Bed, name: str) -> str:
    return bed.directors[name].tell("systemctl show -P MainPID balanced-director").strip()


def _another_release(bed: Bed) -> Path:
    """The one that runs, under another name and already in place: to install it takes ten minutes under emulation."""
    release = bed.folder / "trixie-another.tar"
    release.touch()
    for node in bed.directors.values():
        node.tell(
            "cd /opt/balanced && old=$(readlink current) && cp -a $old trixie-another && "
            "grep -lI /opt/balanced/$old/ trixie-another/bin/* | xargs sed -i s:/$old/:/trixie-another/:"
        )
    return release
