"""The last will as the director writes it, and as its executor reads it."""

import io
from pathlib import Path

import pytest

from appliance import last_will
from appliance.bird.render import render_include, render_preference
from appliance.config.schema import Config
from appliance.director import wiring
from appliance.director.will import keep
from appliance.last_will import Will
from appliance.telemetry.journal import Journal, Standing

WILL = Will("deprefer", "/run/bird/bird.ctl", 2.0, "/run/balanced/bird/x.conf", "text\n", ("balanced_vips4",))


def config(on_director_lost: str) -> Config:
    return Config.model_validate(
        {
            "node": {"name": "lb1", "router_id": "10.0.0.11"},
            "pools": [{"name": "public", "cidrs": ["10.50.0.0/24"]}],
            "sources": {"file": {"path": "services"}},
            "bgp": {"local_as": 64512, "peers": [{"name": "tor1", "address": "10.0.0.1", "as": 64500}]},
            "director": {"on_director_lost": on_director_lost},
        }
    )


@pytest.fixture
def standing() -> Standing:
    return Standing(Journal(io.StringIO()))


def test_what_is_written_is_what_is_read(tmp_path: Path, standing: Standing) -> None:
    keep(tmp_path, WILL, standing)

    assert last_will.read(tmp_path / last_will.FILE) == WILL
    assert standing.all == {}


def test_the_newest_will_counts(tmp_path: Path, standing: Standing) -> None:
    keep(tmp_path, WILL, standing)
    keep(tmp_path, Will("hold", "", 1.0, "", "", ()), standing)

    assert last_will.read(tmp_path / last_will.FILE).action == "hold"


def test_a_will_that_cannot_be_written_is_a_condition_until_it_can(tmp_path: Path, standing: Standing) -> None:
    keep(tmp_path / "none", WILL, standing)
    assert "cannot be written" in standing.all["last will"]
    (tmp_path / "none").mkdir()
    keep(tmp_path / "none", WILL, standing)
    assert standing.all == {}


@pytest.mark.parametrize(
    ("action", "file", "text"),
    [
        pytest.param("deprefer", "balanced-preference.conf", render_preference(node_avoided=True), id="deprefer"),
        pytest.param("withdraw", "balanced-vips.conf", render_include(()), id="withdraw"),
    ],
)
def test_the_configuration_says_what_becomes_of_the_routes(action: str, file: str, text: str) -> None:
    will = wiring._will(config(action))

    assert (will.action, will.path, will.text) == (action, f"/run/balanced/bird/{file}", text)
    assert will.protocols == ("balanced_vips4", "balanced_vips6")


def test_hold_is_written_down_too() -> None:
    """Without it a will of before would count."""
    assert wiring._will(config("hold")).action == "hold"
