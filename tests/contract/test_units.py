"""The rendered units, as systemd's own tools see them."""

import subprocess
from pathlib import Path

import pytest

from appliance.cli.units import files
from appliance.config.load import load

CONFIG = """node: {name: lb1, router_id: 10.0.0.11, uplinks: [eth0]}
pools: [{name: public, cidrs: [10.50.0.0/24]}]
sources: {file: {path: services}}
bgp: {local_as: 64512, peers: [{name: tor1, address: 10.0.0.1, as: 64500}]}
"""
# Exposure times ten: 2.0 is what a service that administers the host's network can come down to.
THRESHOLD = "20"
# With CAP_SYS_ADMIN, to enter a network namespace, and settings of the kernel that can be written.
ISOLATED_THRESHOLD = "27"
ISOLATED = "director: {netns: lvs, netns_networks: [10.9.0.10/31]}\n"


def written(folder: Path, more: str = "") -> Path:
    """A root with the files of a node."""
    (folder / "appliance.yaml").write_text(CONFIG + more)
    made = files(load(folder / "appliance.yaml"), Path("/etc/balanced/appliance.yaml"), Path("/bin/true"))
    for place, text in made.items():
        target = folder / "root" / place.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder / "root"


def units(root: Path) -> list[Path]:
    return sorted((root / "etc/systemd/system").glob("*.service"))


def run(*argv: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(each) for each in argv], capture_output=True, text=True, timeout=60, check=False)


def exposure(unit: Path, threshold: str = THRESHOLD) -> "subprocess.CompletedProcess[str]":
    return run("systemd-analyze", "security", "--offline=yes", f"--threshold={threshold}", unit)


@pytest.mark.parametrize("more", [pytest.param("", id="usual"), pytest.param("checks: {mode: tunnel}\n", id="probing")])
def test_every_unit_is_hardened(tmp_path: Path, more: str) -> None:
    for unit in units(written(tmp_path, more)):
        done = exposure(unit)
        assert done.returncode == 0, done.stdout


def test_a_namespace_of_its_own_costs_some_of_the_hardening(tmp_path: Path) -> None:
    unit = next(each for each in units(written(tmp_path, ISOLATED)) if "director" in each.name)
    assert exposure(unit).returncode != 0
    done = exposure(unit, ISOLATED_THRESHOLD)
    assert done.returncode == 0, done.stdout


def test_a_unit_that_is_not_would_be_found(tmp_path: Path) -> None:
    """The check above can fail."""
    unit = units(written(tmp_path))[0]
    unit.write_text(unit.read_text().replace("ProtectSystem=strict\n", "").replace("PrivateDevices=yes\n", ""))

    assert exposure(unit).returncode != 0


def complaints(root: Path) -> list[str]:
    """What systemd does not like about the units, without what version 252 cannot know."""
    said = run("systemd-analyze", "verify", *units(root)).stderr.splitlines()
    return [line for line in said if str(root) in line and "RestartMode" not in line]


def test_systemd_knows_every_line(tmp_path: Path) -> None:
    assert complaints(written(tmp_path, "checks: {mode: tunnel}\ndirector: {control_group: operators}\n")) == []
    assert complaints(written(tmp_path, ISOLATED)) == []


def test_a_line_that_it_does_not_know_is_found(tmp_path: Path) -> None:
    """The check above can fail."""
    root = written(tmp_path)
    unit = units(root)[0]
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchDogSec="))

    assert any("WatchDogSec" in each for each in complaints(root))


def test_users_and_directories_can_be_made_of_what_is_written(tmp_path: Path) -> None:
    root = written(tmp_path, "director: {control_group: operators}\n")
    (root / "etc/group").write_text("bird:x:105:\n")
    (root / "etc/passwd").write_text("bird:x:105:105::/:/usr/sbin/nologin\n")

    users = run("systemd-sysusers", f"--root={root}", root / "etc/sysusers.d/balanced.conf")

    assert users.returncode == 0, users.stderr
    groups = {line.split(":")[0]: line.split(":")[3] for line in (root / "etc/group").read_text().splitlines()}
    assert groups["bird"] == "balanced"
    assert "operators" in groups
    directories = run("systemd-tmpfiles", "--create", f"--root={root}", root / "etc/tmpfiles.d/balanced.conf")
    assert directories.returncode == 0, directories.stderr
    assert (root / "run/balanced/bird").is_dir()
