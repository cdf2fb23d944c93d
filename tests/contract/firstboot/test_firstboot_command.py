"""The command as a unit runs it, as root: real mounts, the real check, a node of folders, systemd's programs recorded.

In a process of its own each time: it leaves the mounts of whoever starts it.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

RUN = """
import json, os, sys
from pathlib import Path
from appliance.cli import firstboot, main
for name, value in json.loads(sys.argv[1]).items():
    setattr(firstboot, name, value if name == "GROUP" else Path(value))
main.main(["firstboot", "--command", sys.argv[2]])
"""
PROGRAMS = ("systemctl", "systemd-sysusers", "systemd-tmpfiles", "journalctl")
CONFIG = """node: {name: lb1, router_id: 10.0.0.11}
pools: [{name: public, cidrs: [10.50.0.0/24]}]
sources: {file: {path: services}}
bgp:
  local_as: 64512
  peers: [{name: tor1, address: 10.0.0.1, as: 64500, password_file: HOME/tor1.password}]
"""
SERVICES = "services: [{name: web, vip: 10.50.0.1, ports: [80], backends: [10.0.0.21]}]\n"


@dataclass(frozen=True)
class Machine:
    """A node's folders below ``root``, and the credentials that its firmware gives."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "etc/balanced"

    def given(self, credentials: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        """Run the command with these credentials, and no volume."""
        folder = self.root / "credentials"
        subprocess.run(["rm", "-rf", folder], check=True)
        folder.mkdir()
        for name, text in credentials.items():
            (folder / f"balanced.{name}").write_text(text.replace("HOME", str(self.home)))
        places = {
            "HOME": self.home,
            "ROOT": self.root,
            "RUNTIME": self.root / "run",
            "REFUSED": self.root / "run/refused",
            "LABELS": self.root / "by-label",
            "NETWORKD": self.root / "networkd",
            "MADE_FROM": self.root / "made-from",
            "GROUP": "root",
        }
        return subprocess.run(
            [
                sys.executable,
                "-c",
                RUN,
                json.dumps(places, default=str),
                "/opt/balanced",
            ],
            env={"PATH": f"{self.root / 'bin'}:/usr/bin:/bin", "CREDENTIALS_DIRECTORY": str(folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ran(self) -> list[str]:
        """What of systemd's programs was run since this was asked last."""
        log = self.root / "ran"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def standing(self) -> dict[str, str]:
        paths = sorted(path for path in self.home.rglob("*") if path.is_file() and not path.name.startswith("."))
        return {str(path.relative_to(self.home)): path.read_text() for path in paths}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "etc/balanced").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for name in PROGRAMS:
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/ran\n')
        script.chmod(0o755)
    return Machine(tmp_path)


def user_data(config: str) -> str:
    entries = [{"path": "appliance.yaml", "content": config}, {"path": "services/web.yaml", "content": SERVICES}]
    return f"#cloud-config\n{json.dumps({'write_files': entries})}"


RIGHT = {"user-data": user_data(CONFIG), "tor1.password": "hush\n"}


def test_a_configuration_that_comes_with_its_secret_is_checked_where_it_will_stand(machine: Machine) -> None:
    """It names its password by an absolute path, at which there is nothing yet."""
    done = machine.given(RIGHT)

    assert done.returncode == 0, done.stderr
    assert machine.standing() == {
        "appliance.yaml": CONFIG.replace("HOME", str(machine.home)),
        "services/web.yaml": SERVICES,
        "tor1.password": "hush\n",
    }
    assert (machine.root / "etc/systemd/system/balanced-director.service").exists()


def test_what_the_director_needs_is_there_before_it_is_started(machine: Machine) -> None:
    machine.given(RIGHT)

    assert machine.ran() == [
        "systemd-sysusers ",
        "systemd-tmpfiles --create /etc/tmpfiles.d/balanced.conf",
        "systemctl restart systemd-modules-load.service systemd-sysctl.service",
        "journalctl --update-catalog",
        "systemctl daemon-reload",
        "systemctl --no-block reload-or-restart balanced-director.service",
    ]


def test_a_second_start_changes_nothing_and_runs_nothing(machine: Machine) -> None:
    machine.given(RIGHT)
    machine.ran()

    done = machine.given(RIGHT)

    assert (done.returncode, done.stdout) == (0, "nothing new\n")
    assert machine.ran() == []


def test_a_wrong_one_is_refused_in_the_words_of_check_and_what_stands_is_kept(machine: Machine) -> None:
    machine.given(RIGHT)
    machine.ran()
    before = machine.standing()

    done = machine.given({**RIGHT, "user-data": user_data(CONFIG.replace("64512", "many"))})

    mistake = f"{machine.home}/appliance.yaml:5: bgp.local_as: "
    assert done.returncode == 2
    assert done.stderr.startswith(mistake)
    assert (machine.root / "run/refused").read_text() == done.stderr
    assert machine.standing() == before
    assert machine.ran() == []


def test_what_was_refused_is_forgotten_once_it_is_right(machine: Machine) -> None:
    machine.given({**RIGHT, "user-data": "reboot"})
    assert (machine.root / "run/refused").exists()

    assert machine.given(RIGHT).returncode == 0

    assert not (machine.root / "run/refused").exists()


def test_a_rotated_password_is_taken_over_without_new_units(machine: Machine) -> None:
    machine.given(RIGHT)
    machine.ran()

    machine.given({**RIGHT, "tor1.password": "new\n"})

    assert machine.standing()["tor1.password"] == "new\n"
    assert machine.ran() == ["systemctl --no-block reload-or-restart balanced-director.service"]


def test_a_configuration_that_came_by_other_means_gets_units_for_this_system(machine: Machine) -> None:
    """After an update the system is new and /etc/balanced is not."""
    (machine.home / "services").mkdir()
    (machine.home / "services/web.yaml").write_text(SERVICES)
    (machine.home / "tor1.password").write_text("hush\n")
    (machine.home / "appliance.yaml").write_text(CONFIG.replace("HOME", str(machine.home)))

    assert machine.given({}).returncode == 0

    assert (machine.root / "etc/systemd/system/balanced-director.service").exists()


def test_where_nothing_says_anything_nothing_happens(machine: Machine) -> None:
    done = machine.given({})
    assert (done.returncode, done.stdout) == (0, "no volume, credential or server says anything\n")
    assert machine.standing() == {}
    assert machine.ran() == []
