"""What we render for BIRD, byte for byte, and what BIRD itself says to it.

``UPDATE_GOLDEN=1 pytest tests/golden`` writes the files anew; read the difference before you commit it.
"""

import os
import subprocess
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from appliance.bird.render import render_config, render_include, render_preference, render_snippet
from appliance.config.schema import Config
from tests.lab.birds import bird_binaries

FOLDER = Path(__file__).parent / "bird"
VERSIONS = ("2.0", "2.17", "3.1")
VIPS = frozenset(map(ip_address, ("10.50.0.10", "10.50.0.2", "2001:db8:50::1")))
# The least that an operator's own configuration has.
OPERATOR = "router id 10.0.0.11;\nprotocol device {\n}\n"


def config(pools: list[str], peers: list[dict[str, Any]], **bgp: Any) -> Config:
    return Config.model_validate(
        {
            "node": {"name": "lb1", "router_id": "10.0.0.11", "uplinks": bgp.pop("uplinks", [])},
            "pools": [{"name": "public", "cidrs": pools}],
            "sources": {"file": {"path": "services"}},
            "bgp": {"local_as": 64512, "peers": peers, **bgp},
        }
    )


MINIMAL = config(["10.50.0.0/24"], [{"address": "10.0.0.1", "as": 64500}])
DUAL_STACK = config(
    ["10.50.0.0/24", "10.51.0.0/16", "2001:db8:50::/64"],
    [{"name": "tor1", "address": "10.0.0.1", "as": 64500}, {"name": "tor2", "address": "2001:db8::1", "as": 64501}],
    uplinks=["eth0", "eth1.100"],
)
BOTH_FAMILIES = config(
    ["10.50.0.0/24", "2001:db8:50::/64"],
    [
        {"name": "tor1", "address": "10.0.0.1", "as": 64500, "families": ["ipv4", "ipv6"]},
        {"name": "tor2", "address": "2001:db8::1", "as": 64501, "families": ["ipv6", "ipv4"]},
    ],
)
EVERYTHING = config(
    ["10.50.0.0/24"],
    [
        {
            "name": "route_server",
            "address": "192.0.2.1",
            "as": 4200000000,
            "password": "a;b#c}d%$",
            "multihop": 3,
            "hold_time_s": 9,
            "source_address": "10.0.0.11",
        }
    ],
    communities=["64512:100", "0:65535", "4200000000:1:2"],
    med=100,
)
MIXED = config(
    ["10.50.0.0/24"],
    [{"name": "inside", "address": "10.0.0.1", "as": 64512}, {"name": "outside", "address": "10.0.0.2", "as": 64500}],
    deprefer={"prepend": 1, "med": None},
)
BFD_OFF = config(
    ["2001:db8:50::/64"],
    [{"name": "internal", "address": "2001:db8::1", "as": 64512, "bfd": False, "hold_time_s": 0}],
)

CONFIGS: dict[str, Callable[[], str]] = {
    "minimal.conf": lambda: render_config(MINIMAL),
    "dual_stack.conf": lambda: render_config(DUAL_STACK),
    "both_families.conf": lambda: render_config(BOTH_FAMILIES),
    "everything.conf": lambda: render_config(EVERYTHING),
    "mixed.conf": lambda: render_config(MIXED),
    "bfd_off.conf": lambda: render_config(BFD_OFF),
    "snippet.conf": lambda: render_snippet(DUAL_STACK),
}
INCLUDES: dict[str, Callable[[], str]] = {
    "vips_none.conf": lambda: render_include(()),
    "vips_three.conf": lambda: render_include(VIPS),
    "preference_none.conf": render_preference,
    "preference_two.conf": lambda: render_preference(VIPS - {ip_address("10.50.0.2")}),
    "preference_node.conf": lambda: render_preference(node_avoided=True),
}


@pytest.mark.parametrize("name", [*CONFIGS, *INCLUDES])
def test_rendered_text_is_the_golden_file_byte_for_byte(name: str) -> None:
    text = (CONFIGS | INCLUDES)[name]()
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text.encode("ascii") == path.read_bytes()


def parses(version: str, folder: Path, text: str) -> tuple[bool, str]:
    """Whether this BIRD takes the text as its configuration, and what it says."""
    path = folder / "bird.conf"
    path.write_text(text)
    bird = bird_binaries()[version].bird
    done = subprocess.run([*bird, "-p", "-c", str(path)], capture_output=True, text=True, check=False, timeout=20)
    return done.returncode == 0, done.stdout + done.stderr


def whole(name: str, folder: Path) -> str:
    """The golden file as BIRD would meet it: a configuration with its includes, an include in a configuration."""
    text = (FOLDER / name).read_text()
    if name.startswith("vips"):
        return OPERATOR + (FOLDER / "preference_none.conf").read_text() + text
    if name.startswith("preference"):
        return OPERATOR + text + (FOLDER / "vips_three.conf").read_text()
    includes = folder / "includes"
    includes.mkdir()
    for golden, written in (("preference_two", "balanced-preference"), ("vips_three", "balanced-vips")):
        (includes / f"{written}.conf").write_bytes((FOLDER / f"{golden}.conf").read_bytes())
    text = text.replace("/run/balanced/bird", str(includes))
    return OPERATOR + text if name == "snippet.conf" else text


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [*CONFIGS, *INCLUDES])
def test_every_golden_file_is_a_configuration_for_every_bird(name: str, version: str, tmp_path: Path) -> None:
    accepted, said = parses(version, tmp_path, whole(name, tmp_path))
    assert accepted, said


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("route 10.50.0.2/32 blackhole;", "route 10.50.0.2/32 blackhole", id="a lost semicolon"),
        pytest.param("10.50.0.2/32", "10.50.0.2/24", id="host bits"),
        pytest.param("balanced_vips4", "balanced-vips4", id="a name that is none"),
    ],
)
def test_the_oracle_rejects_a_bad_file(old: str, new: str, version: str, tmp_path: Path) -> None:
    good = whole("vips_three.conf", tmp_path)
    assert old in good
    accepted, said = parses(version, tmp_path, good.replace(old, new))
    assert not accepted
    assert "bird.conf" in said
