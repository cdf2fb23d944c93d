"""What systemd-repart makes of the image's table on a larger disk: only the data partition grows, once."""

import subprocess
from pathlib import Path

import pytest

from image.layout import disk_bytes, place, sgdisk_arguments

DEFINITIONS = Path(__file__).parents[3] / "image/state/repart.d"


def repart(disk: Path) -> str:
    command = ["systemd-repart", "--dry-run=no", f"--definitions={DEFINITIONS}", str(disk)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


def table(disk: Path) -> list[list[str]]:
    """Number, first and last sector, identity and name of each partition."""
    shown = []
    for placed in place():
        info = subprocess.run(
            ["sgdisk", f"--info={placed.number}", str(disk)], check=True, capture_output=True, text=True
        )
        values = dict(line.split(": ", 1) for line in info.stdout.splitlines() if ": " in line)
        wanted = ("First sector", "Last sector", "Partition unique GUID", "Partition name")
        shown.append([values[name].split(" (")[0] for name in wanted])
    return shown


@pytest.mark.parametrize("more_bytes", [0, 3 << 30], ids=["a disk as small as the image", "a larger disk"])
def test_only_the_data_partition_grows_and_only_once(tmp_path: Path, more_bytes: int) -> None:
    disk = tmp_path / "disk.raw"
    disk.touch()
    larger_bytes = disk_bytes() + more_bytes
    with disk.open("r+b") as file:
        file.truncate(disk_bytes())
    subprocess.run(["sgdisk", "--clear", *sgdisk_arguments(), str(disk)], check=True, capture_output=True)
    before = table(disk)
    with disk.open("r+b") as file:
        file.truncate(larger_bytes)

    repart(disk)

    after = table(disk)
    assert after[:-1] == before[:-1]
    assert [after[-1][0], *after[-1][2:]] == [before[-1][0], *before[-1][2:]]
    assert larger_bytes - (int(after[-1][1]) + 1) * 512 <= 1 << 20
    assert "No changes." in repart(disk)
