"""The order of rolling.yml, and where it stops: on this machine alone, with a stand-in for `balanced`.

Run by the Python that has Ansible (image/requirements.lock). Real directors: tests/image/test_two_nodes_rolling.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ANSIBLE = HERE.parents[1] / "ansible"
VIPS = "10.50.0.1 2001:db8:50::1"
LB1, LB2 = (["lb1 drain", "lb1 change", "lb1 undrain"], ["lb2 drain", "lb2 change", "lb2 undrain"])


class Site:
    """Two directors that are folders here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: dict[str, dict[str, Any]] = {}
        command = folder / "bin/balanced"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "balanced.py"} "$@"\n')
        command.chmod(0o755)
        for name in ("lb1", "lb2"):
            home = folder / name
            home.mkdir()
            (home / "vips").write_text(VIPS)
            python = home / "python3"
            python.write_text(
                f"#!/bin/sh\nexport DIRECTOR={name} DIRECTORS={folder} PATH={command.parent}:$PATH\n"
                f'exec {sys.executable} "$@"\n'
            )
            python.chmod(0o755)
            self.hosts[name] = {
                "ansible_connection": "local",
                "ansible_become": False,
                "ansible_python_interpreter": str(python),
            }

    def is_(self, director: str, state: str) -> bool:
        return (self.folder / director / state).exists()

    def make(self, director: str, state: str) -> None:
        (self.folder / director / state).touch()

    def roll(self) -> tuple[int, list[str], str]:
        """The status of a run, what it did to whom, and its output."""
        log = self.folder / "log"
        log.write_text("")
        inventory = self.folder / "hosts.json"
        inventory.write_text(json.dumps({"all": {"children": {"directors": {"hosts": self.hosts}}}}))
        variables = {"rolling_roles": ["change"], "rolling_healthy_within_s": 2}
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "--inventory", str(inventory)]
        own = {"ANSIBLE_ROLES_PATH": str(HERE / "roles"), "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg")}
        done = subprocess.run(
            [*command, "--extra-vars", json.dumps(variables), str(ANSIBLE / "rolling.yml")],
            env={**os.environ, **own, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp")},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, log.read_text().splitlines(), done.stdout + done.stderr


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_one_after_the_other_is_drained_changed_and_let_in_again(site: Site) -> None:
    status, deeds, output = site.roll()
    assert (status, deeds) == (0, [*LB1, *LB2]), output


def test_fault_51_who_does_not_get_well_stays_drained_and_the_next_is_left_alone(site: Site) -> None:
    site.make("lb1", "spoiled by a change")
    status, deeds, output = site.roll()
    assert status != 0, output
    assert deeds == LB1[:2]
    assert site.is_("lb1", "drained")


def test_fault_51_the_next_run_begins_with_whom_the_last_one_left_drained(site: Site) -> None:
    site.make("lb2", "drained")
    status, deeds, output = site.roll()
    assert (status, deeds) == (0, [*LB2, *LB1]), output


@pytest.mark.parametrize("state", ["sick", "drained"])
def test_nobody_is_drained_where_no_other_serves(site: Site, state: str) -> None:
    """Whoever is drained is first, and may come back only if the other serves."""
    site.make("lb2", state)
    site.make("lb1", "sick")
    status, deeds, output = site.roll()
    assert (status != 0, deeds) == (True, []), output
    assert "Nobody else would serve" in output


def test_nobody_is_drained_who_alone_announces_a_vip(site: Site) -> None:
    (site.folder / "lb1/vips").write_text(f"{VIPS} 10.50.0.2")
    status, deeds, output = site.roll()
    assert (status != 0, deeds) == (True, []), output
    assert "Nobody else would serve 10.50.0.2" in output


def test_nobody_is_drained_where_the_other_cannot_be_reached(site: Site) -> None:
    site.hosts["lb2"] = {"ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_connection": "ssh"}
    status, deeds, output = site.roll()
    assert (status != 0, deeds) == (True, []), output
    assert "Nobody else would serve" in output
