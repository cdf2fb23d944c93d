"""Volumes as people make them, mounted by a real kernel: vfat and iso9660."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.firstboot.media import volume

FILES = {"appliance.yaml": "node: {}\n", "services/web.yaml": "services: []\n", "tor1.password": "hush\n"}
Make = Callable[[Path, Path], None]


def vfat(folder: Path, image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mformat", "-i", str(image), "-v", "CIDATA", "::"], check=True)
    subprocess.run(["mcopy", "-i", str(image), "-s", *map(str, folder.iterdir()), "::"], check=True)


def iso9660(folder: Path, image: Path) -> None:
    command = ["genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", str(image), str(folder)]
    subprocess.run(command, check=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is to be on the volume."""
    for name, text in FILES.items():
        path = tmp_path / "on-it" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "on-it"


@pytest.fixture
def labels(tmp_path: Path) -> Iterator[Path]:
    """An empty stand-in for udev's folder of labels; what is attached to loop devices is let go at the end."""
    subprocess.run(["modprobe", "loop"], check=True)
    links = tmp_path / "by-label"
    links.mkdir()
    yield links
    for link in links.iterdir():
        subprocess.run(["losetup", "--detach", link.resolve()], check=True)


@pytest.mark.parametrize(("make", "label"), [(vfat, "CIDATA"), (iso9660, "cidata")])
def test_a_volume_is_read_as_it_was_written(make: Make, label: str, folder: Path, labels: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "image")
    command = ["losetup", "--find", "--show", "--read-only", str(tmp_path / "image")]
    device = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (labels / label).symlink_to(device)

    found = volume(labels, tmp_path / "mounted")

    assert found is not None
    assert found.place == f"volume {label}"
    assert {str(path): content.decode() for path, content in found.files.items()} == FILES
    assert not os.path.ismount(tmp_path / "mounted")
