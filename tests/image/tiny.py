"""Disks that start as ours do and then are nothing but a kernel, whose first words say which slot it is.

So GRUB can be watched counting, in a minute where whole systems would take half an hour.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from appliance.slots.grubenv import parse, render
from image import base
from image.contents import located
from image.debian import run
from image.layout import MIB, PARTITIONS, Placed, place
from image.qemu import OVMF, Firmware, Machine, arguments

BUSYBOX = Path("/usr/bin/busybox")
BOOT = Path("usr/local/lib/balanced/boot")
GRUB_CFG = Path(__file__).parents[2] / "image/grub.cfg"
# Long enough for four starts of an emulated machine that shares its processors.
DEADLINE_S = 900.0
# Each kernel's first words. What a slot's own program prints may be lost when the machine restarts at once, and an
# emulated kernel may panic before that: a start all the same, and GRUB counts it.
_STARTED = re.compile(r"\] Command line: .*balanced\.slot=(\w)")
# The same table with less in it.
SIZES_MIB = {"balanced-grub": 1, "balanced-esp": 64, "balanced-a": 48, "balanced-b": 48, "balanced-data": 4}
TABLE = tuple(replace(each, size_bytes=SIZES_MIB[each.name] * MIB) for each in PARTITIONS)

End = Literal["restarts", "panics", "is the last", "has no kernel", "has no initramfs"]
"""What becomes of a slot once its kernel runs."""

_WORDS = {"restarts": "busybox reboot -f", "panics": "exit 1", "is the last": "busybox poweroff -f"}


@dataclass(frozen=True, slots=True)
class Parts:
    """What a disk is made of: a folder with the boot loader's files, and a kernel."""

    boot: Path
    kernel: Path


def parts(disk: Path, folder: Path) -> Parts:
    """Taken out of slot A of a base disk; its grub.cfg is that of this tree."""
    raw = disk
    if disk.suffix != ".raw":
        raw = folder / "disk.raw"
        run(["qemu-img", "convert", "-O", "raw", str(disk), str(raw)], folder)
    where = f"{raw}?offset={located('balanced-a').start_bytes}"
    boot = folder / "boot"
    boot.mkdir()
    for name in ("boot.img", "core.img", "bootx64.efi", "grubx64.efi"):
        run(["debugfs", "-R", f"dump /{BOOT}/{name} {boot / name}", where], folder)
    listed = run(["debugfs", "-R", "ls -p /boot", where], folder).splitlines()
    kernel = next(line.split("/")[5] for line in listed if "/vmlinuz-" in line)
    run(["debugfs", "-R", f"dump /boot/{kernel} {folder / 'vmlinuz'}", where], folder)
    shutil.copy(GRUB_CFG, boot)
    return Parts(boot, folder / "vmlinuz")


def tiny_disk(made_of: Parts, folder: Path, ends: dict[str, End], variables: dict[str, str]) -> Path:
    """A disk whose slots end like this, with these variables in grubenv."""
    root = folder / "content"
    shutil.copytree(made_of.boot, root / BOOT)
    (root / BOOT / "grubenv").write_bytes(render(variables))
    _fill(root, made_of.kernel, ends["a"])
    run(["tar", "--create", "--file", str(folder / "root.tar"), "--directory", str(root), "."], folder)
    base.assemble(folder, TABLE)
    other = folder / "other"
    other.mkdir()
    _fill(other, made_of.kernel, ends["b"])
    home = _home("balanced-b")
    base._copy(base._ext4(folder, other, home), folder / "disk.raw", home)
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "disk.raw", "-F", "raw", "disk.qcow2"], folder)
    return folder / "disk.qcow2"


def starts(disk: Path, firmware: Firmware, within_s: float = DEADLINE_S) -> tuple[list[str], dict[str, str]]:
    """The slots that were started, one after the other, until the last one; and what stands in grubenv then.

    Raises:
        TimeoutError: the machine never switched itself off; the text has the end of its console.
    """
    folder = disk.parent
    for file in ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd") if firmware == "uefi" else ():
        shutil.copy(OVMF / file, folder)
    accelerator: Literal["tcg", "kvm"] = "kvm" if os.environ.get("ACCEL") == "kvm" else "tcg"
    machine = Machine(disk, firmware, "", 0, folder, 512, accelerator=accelerator)
    console = folder / "console.log"
    with subprocess.Popen(arguments(machine)) as process:
        try:
            process.wait(within_s)
        except subprocess.TimeoutExpired:
            said = console.read_bytes()[-2000:].decode(errors="replace")
            raise TimeoutError(f"{disk} by {firmware} does not end; its console ends:\n{said}") from None
        finally:
            process.kill()
    return _STARTED.findall(console.read_text(errors="replace")), _variables(disk)


def _variables(disk: Path) -> dict[str, str]:
    raw = disk.with_name("after.raw")
    run(["qemu-img", "convert", "-O", "raw", str(disk), str(raw)], disk.parent)
    esp = f"{raw}@@{_home('balanced-esp').start_bytes}"
    run(["mcopy", "-n", "-i", esp, "::/EFI/debian/grubenv", "grubenv"], disk.parent)
    return parse((disk.parent / "grubenv").read_bytes())


def _home(name: str) -> Placed:
    return next(placed for placed in place(TABLE) if placed.partition.name == name)


def _fill(root: Path, kernel: Path, end: End) -> None:
    if end != "has no kernel":
        shutil.copy(kernel, root / "vmlinuz")
    if end != "has no initramfs":
        script = f"#!/bin/busybox sh\n{_WORDS.get(end, '')}\n"
        (root / "initrd.img").write_bytes(_initramfs({"init": script.encode(), "bin/busybox": BUSYBOX.read_bytes()}))


def _initramfs(programs: dict[str, bytes]) -> bytes:
    """An archive that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    folders = sorted({str(Path(name).parent) for name in programs} - {"."})
    entries = [(name, 0o40755, b"") for name in folders]
    entries += [(name, 0o100755, content) for name, content in programs.items()]
    return b"".join(_entry(*each) for each in (*entries, ("TRAILER!!!", 0, b"")))


def _entry(name: str, mode: int, content: bytes) -> bytes:
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % each for each in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
