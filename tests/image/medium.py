"""Volumes as people make them, and patience with a machine that starts from them."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from image.qemu import Node

# Of a step on an emulated machine that shares its processors.
DEADLINE_S = 900.0


def vfat(folder: Path, image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mformat", "-i", str(image), "-v", "CIDATA", "::"], check=True)
    subprocess.run(["mcopy", "-i", str(image), "-s", *map(str, folder.iterdir()), "::"], check=True)


def iso9660(folder: Path, image: Path) -> None:
    command = ["genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", str(image), str(folder)]
    subprocess.run(command, check=True)


def made(folder: Path, make: Callable[[Path, Path], None], files: dict[str, str]) -> Path:
    """The image of a volume with these files."""
    for name, text in files.items():
        path = folder / "on-it" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    make(folder / "on-it", folder / "volume.img")
    return folder / "volume.img"


def until(what: str, holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(2)


def told(node: Node, command: str) -> str:
    """What the node prints; nothing while it is away, or where the command fails."""
    try:
        return node.tell(command)
    except RuntimeError:
        return ""


def console(node: Node) -> str:
    return (node.machine.folder / "console.log").read_text(errors="replace")


def rebooted(node: Node) -> None:
    command = "cat /proc/sys/kernel/random/boot_id"
    before = node.tell(command)
    node.tell("systemd-run --quiet --on-active=1 systemctl reboot")
    until("another boot", lambda: told(node, command) not in {"", before})
