"""Volumes on block devices, and a configuration that is tried where it will stand. As root, as the command is.

File systems that are right are read in tests/image: few kernels that tests run on have vfat and iso9660.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import ConfigError
from appliance.firstboot.media import files_on, volume

FILES = {
    "appliance.yaml": "node: {}\n",
    "services/web.yaml": "services: []\n",
    "tor1.password": "hush\n",
    "System Volume Information/WPSettings.dat": "Windows was here",
}
WANTED = {name: text for name, text in FILES.items() if " " not in name}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is to be on the volume."""
    for name, text in FILES.items():
        path = tmp_path / "on-it" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "on-it"


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[Path]:
    """An empty stand-in for udev's folder of labels; what is attached to loop devices is let go at the end."""
    labels = tmp_path / "by-label"
    labels.mkdir()
    yield labels
    for link in labels.iterdir():
        subprocess.run(["losetup", "--detach", link.resolve()], check=True)


def attach(devices: Path, label: str, image: Path) -> None:
    command = ["losetup", "--find", "--show", "--read-only", str(image)]
    device = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (devices / label).symlink_to(device)


def test_of_a_volume_only_what_belongs_to_a_configuration_is_read(folder: Path) -> None:
    (folder / "kubeconfig").symlink_to("/etc/shadow")
    assert {str(path): content.decode() for path, content in files_on(folder)} == WANTED


def test_a_volume_that_is_neither_is_refused(devices: Path, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(1 << 20))
    attach(devices, "CIDATA", tmp_path / "image")

    with pytest.raises(ConfigError, match=r"^volume CIDATA: cannot be read: mount .* \(make it with vfat or iso9660\)"):
        volume(devices, tmp_path / "mounted")


def test_where_there_is_no_volume_there_is_none(devices: Path, tmp_path: Path) -> None:
    assert volume(devices, tmp_path / "mounted") is None


# In a process of its own: who has left the host's mounts does not come back to them.
TRY = """
import sys
from pathlib import Path
from appliance.firstboot.kernel import mount_apart, standing_at
mount_apart()
stage, place = map(Path, sys.argv[1:])
with standing_at(stage, place):
    print((place / "appliance.yaml").read_text(), flush=True)
    sys.stdin.readline()
print((place / "appliance.yaml").read_text())
"""


def test_what_is_tried_in_its_place_is_seen_by_nobody_else(tmp_path: Path) -> None:
    for name in ("stage", "place"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "appliance.yaml").write_text(name)
    command = [sys.executable, "-c", TRY, str(tmp_path / "stage"), str(tmp_path / "place")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "stage\n"
        assert (tmp_path / "place/appliance.yaml").read_text() == "place"
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "place\n"
