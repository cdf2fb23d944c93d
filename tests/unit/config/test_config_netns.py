"""A network namespace in the configuration, and the option that stands instead of it."""

from pathlib import Path

import pytest

from appliance.cli.main import main
from appliance.config.load import load
from appliance.errors import ConfigError
from appliance.isolation.place import stay_in_place

GOOD = Path(__file__).parent / "good"
NODE = "node: {router_id: 10.0.0.11, uplinks: [eth0]}\n"
REST = """\
pools: [{name: public, cidrs: [10.50.0.0/24]}]
sources: {file: {path: services}}
bgp: {local_as: 64512, peers: [{address: 10.0.0.1, as: 64500}]}
"""
DIRECTOR = "director: {netns_networks: [10.9.0.10/31], resync_s: 7}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "appliance.yaml"
    path.write_text(text)
    return path


def test_the_option_adds_to_what_the_file_says(tmp_path: Path) -> None:
    path = written(tmp_path, NODE + REST + DIRECTOR)
    assert load(path).director.netns is None
    director = load(path, netns="lvs").director
    assert (director.netns, director.resync_s) == ("lvs", 7)


def test_the_option_stands_instead_of_the_file_s_word() -> None:
    assert load(GOOD / "appliance.yaml").director.netns == "lvs"
    assert load(GOOD / "appliance.yaml", netns="other").director.netns == "other"


def test_an_option_that_the_file_does_not_go_with_is_refused_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, NODE + REST)
    with pytest.raises(SystemExit) as ended:
        main(["director", "--config", str(path), "--netns", "lvs"])
    assert ended.value.code == 2
    assert "director.netns_networks: no IPv4 network leads into the namespace" in capsys.readouterr().err


def test_an_option_beside_a_broken_section_hides_no_mistake(tmp_path: Path) -> None:
    path = written(tmp_path, NODE + REST + "director: {netns_network: [10.9.0.10/31]}\n")
    with pytest.raises(ConfigError, match="netns_network: is not a key known here"):
        load(path, netns="lvs")


def test_a_reload_that_moves_nothing_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path, NODE + REST + DIRECTOR)
    running = load(path, netns="lvs")
    stay_in_place(running, load(written(tmp_path, NODE + REST + DIRECTOR.replace("7", "8")), netns="lvs"), path)


@pytest.mark.parametrize(
    ("text", "key"),
    [(DIRECTOR.replace("{", "{netns: lvs, "), "netns"), (DIRECTOR.replace(".10/", ".12/"), "netns_networks")],
)
def test_a_reload_that_would_move_the_director_is_refused(tmp_path: Path, text: str, key: str) -> None:
    running = load(written(tmp_path, NODE + REST + DIRECTOR))
    path = written(tmp_path, NODE + REST + text)
    with pytest.raises(ConfigError, match=rf"director\.{key}: cannot be changed by a reload"):
        stay_in_place(running, load(path), path)
