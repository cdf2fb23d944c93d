"""The units of an image: systemd knows their lines, they come in the right order, and only an image has them."""

import subprocess
from pathlib import Path

import pytest
import yaml

ANSIBLE = Path(__file__).parents[3] / "ansible"
FILES = ANSIBLE / "roles/firstboot/files"
UNITS = sorted(path.name for path in FILES.glob("*.service"))
# Unknown to systemd 252, which tests may run on; an image has 257.
NEWER = ("WantsMountsFor", "ImportCredential")


def complaints(folder: Path, text: str, name: str) -> list[str]:
    unit = folder / name
    unit.write_text(text.replace("/usr/local/bin/balanced", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    return [line for line in done.stderr.splitlines() if name in line and not any(word in line for word in NEWER)]


@pytest.mark.parametrize("name", UNITS)
def test_systemd_knows_every_line(name: str, tmp_path: Path) -> None:
    assert complaints(tmp_path, (FILES / name).read_text(), name) == []


def test_a_line_that_it_does_not_know_is_found(tmp_path: Path) -> None:
    """The check above can fail."""
    name = "balanced-firstboot.service"
    assert complaints(tmp_path, (FILES / name).read_text().replace("TimeoutStartSec=", "TimeOutStart="), name)


def words(name: str, key: str) -> set[str]:
    lines = (FILES / name).read_text().splitlines()
    return {word for line in lines if line.startswith(f"{key}=") for word in line.removeprefix(f"{key}=").split()}


def test_a_configuration_is_there_before_the_network_and_the_director() -> None:
    assert {"network-pre.target", "bird.service", "balanced-director.service"} <= words(
        "balanced-firstboot.service", "Before"
    )


def test_a_server_that_is_silent_holds_up_no_director() -> None:
    assert not words("balanced-firstboot-network.service", "Before")


def test_only_an_image_takes_its_configuration_from_a_medium() -> None:
    plays = {name: yaml.safe_load((ANSIBLE / name).read_text()) for name in ("bake.yml", "site.yml")}
    roles = {name: [role["role"] for play in found for role in play["roles"]] for name, found in plays.items()}
    assert "firstboot" in roles["bake.yml"]
    assert "firstboot" not in roles["site.yml"]
