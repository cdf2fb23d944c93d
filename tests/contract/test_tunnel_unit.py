"""The unit of the tunnel agent, as systemd's own tools see it."""

from pathlib import Path

from appliance.cli.units import worker_files
from appliance.config.load import load_tunnel
from tests.contract.test_units import exposure, run

CONFIG = "pools: [{name: public, cidrs: [10.50.0.0/24]}]\ndirectors: [10.0.11.0/24]\n"
# With CAP_SYS_ADMIN, CAP_SYS_PTRACE and the sockets of runtimes; without any hardening it is 96.
THRESHOLD = "36"


def unit(folder: Path) -> Path:
    (folder / "tunnel.yaml").write_text(CONFIG)
    made = worker_files(load_tunnel(folder / "tunnel.yaml"), Path("/etc/balanced/tunnel.yaml"), Path("/bin/true"))
    target = folder / "balanced-tunnel.service"
    target.write_text(made[Path("/etc/systemd/system/balanced-tunnel.service")])
    return target


def test_the_unit_is_as_hardened_as_entering_namespaces_lets_it_be(tmp_path: Path) -> None:
    done = exposure(unit(tmp_path), THRESHOLD)
    assert done.returncode == 0, done.stdout


def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    done = run("systemd-analyze", "verify", unit(tmp_path))
    complaints = [line for line in done.stderr.splitlines() if "balanced-tunnel" in line]
    assert complaints == []


def test_a_key_that_systemd_does_not_know_would_be_found(tmp_path: Path) -> None:
    made = unit(tmp_path)
    made.write_text(made.read_text().replace("RestartSec=", "RestratSec="))
    assert "RestratSec" in run("systemd-analyze", "verify", made).stderr
