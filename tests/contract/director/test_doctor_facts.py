"""The preflight on this machine, whatever it is: it reads, takes what is missing for an answer, and changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.cli.facts import gather
from appliance.config.load import load
from appliance.model.address import Network
from appliance.model.host import Facts

CONFIG = """node: {{name: lb1, router_id: 10.0.0.11, uplinks: [lo]}}
pools: [{{name: public, cidrs: [10.50.0.0/24]}}]
sources: {{file: {{path: services}}}}
bgp: {{local_as: 64512, peers: [{{name: tor1, address: 10.0.0.1, as: 64500, password_file: tor1.password}}]}}
bird: {{control_socket: {folder}/bird.ctl, config_path: {folder}/bird.conf, include_dir: {folder}/include}}
director: {{runtime_dir: {folder}/run, state_dir: {folder}/state}}
"""
SERVICES = {
    "services": [
        {"name": "web", "vip": "10.50.0.1", "ports": [80], "backends": ["10.1.0.5", "10.1.0.6"]},
        {"name": "ntp", "vip": "10.50.0.2", "ports": [123], "backends": ["10.1.9.5"]},
    ]
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with two services, a password that anybody may read, and no BIRD."""
    (tmp_path / "services").mkdir()
    (tmp_path / "services/all.yaml").write_text(json.dumps(SERVICES))
    (tmp_path / "tor1.password").write_text("EXAMPLE")
    (tmp_path / "state").mkdir()
    (tmp_path / "appliance.yaml").write_text(CONFIG.format(folder=tmp_path))
    return tmp_path / "appliance.yaml"


def names(networks: frozenset[Network]) -> set[str]:
    return {str(network) for network in networks}


def gathered(config: Path) -> Facts:
    return gather(load(config), config)


def test_what_the_configuration_names_is_looked_at(config: Path) -> None:
    facts = gathered(config)

    assert names(facts.subnets) == {"10.1.0.0/24", "10.1.9.0/24"}
    assert [place.exists for place in facts.places] == [True, False, False]
    assert [secret.path.name for secret in facts.secrets] == ["tor1.password"]
    assert [nic.name for nic in facts.nics] == ["lo"]


def test_a_bird_that_is_not_there_is_an_answer(config: Path) -> None:
    facts = gathered(config)

    assert not facts.bird
    assert "bird.ctl" in facts.bird_error


def test_services_that_cannot_be_read_leave_the_backends_unknown(config: Path) -> None:
    (config.parent / "services/all.yaml").write_text("services: [}")

    facts = gathered(config)

    assert facts.subnets == frozenset()
    assert "all.yaml" in facts.backends_unknown


def test_looking_changes_no_file(config: Path) -> None:
    """Not even a state on disk that is damaged is set aside."""
    (config.parent / "state/snapshot.json").write_text("{")
    before = {path: path.stat().st_mtime_ns for path in config.parent.rglob("*")}

    gathered(config)

    assert {path: path.stat().st_mtime_ns for path in config.parent.rglob("*")} == before


def test_the_command_ends_with_1_where_something_fails_and_every_line_fits(config: Path) -> None:
    """There is no BIRD, at least."""
    command = [sys.executable, "-m", "appliance", "doctor", "--config", str(config)]
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    assert (done.returncode, done.stderr) == (1, "")
    assert "\x1b" not in done.stdout
