"""The disk that Packer starts from: Debian with a kernel and a boot loader. ``python -m image.base`` prints its path.

Nothing is mounted and no loop device is used, so root is not needed: file systems are made around folders, and GRUB's
sectors are written by hand (image.grub). The disk boots under BIOS and under UEFI.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from image import grub, wheelhouse
from image.contents import as_root
from image.debian import cache, epoch, prune, run, sources
from image.layout import PARTITIONS, Partition, Placed, disk_bytes, place, sgdisk_arguments

HERE = Path(__file__).parent
ROLES = HERE.parent / "ansible/roles"
RELEASE = "trixie"
COMPONENTS = "main non-free-firmware"
OURS = (
    *(HERE / name for name in ("base.py", "base.sh", "grub.cfg", "grub.py", "layout.py")),
    *(HERE / name for name in ("initramfs/hook", "initramfs/script")),
    *sorted(path for path in (HERE / "state").rglob("*") if path.is_file()),
    ROLES / "base/files/dhcp.network",
    ROLES / "sysprep/files/keygen.conf",
)
_CHUNK_BYTES = 1 << 20


def packages() -> list[str]:
    """Everything that the image holds: put there at once, so that the roles find it and need no network."""
    own = [line for line in (HERE / "packages.txt").read_text().splitlines() if line and not line.startswith("#")]
    exporter = ["prometheus-node-exporter"] if _default("observability", "node_exporter") else []
    roles = [*_default("base", "packages"), *_default("kernel", "packages"), _default("bird", "package"), "ipvsadm"]
    return sorted({*own, *roles, *exporter})


def make(archive: Path) -> Path:
    """The raw disk with this release of the appliance, made if it is not in the cache. Safe to run twice at once.

    Raises:
        RuntimeError: the archive cannot be reached, or a tool failed.
    """
    shelf = cache() / "base"
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=shelf, prefix="build-") as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        work = Path(folder)
        options = _debian_options()
        archives = sources(RELEASE, COMPONENTS)
        debian = shelf / f"{wheelhouse.key(RELEASE, [' '.join((*options, *archives, epoch())).encode()])}.tar"
        if not debian.exists():
            _say(f"installing {len(packages())} packages of Debian {RELEASE} and what they need: about a minute")
            _mmdebstrap(options, work / "debian.tar", RELEASE, *archives)
            (work / "debian.tar").rename(debian)
        parts = [path.read_bytes() for path in OURS] + [debian.name.encode(), archive.name.encode()]
        disk = shelf / f"{wheelhouse.key(RELEASE, parts)}.raw"
        if not disk.exists():
            _say("adding the appliance, making file systems and the disk: about a minute")
            _mmdebstrap(_our_options(debian, archive), work / "root.tar", "")
            as_root("image.base", "--assemble", str(work))
            (work / "disk.raw").rename(disk)
        debian.touch()
        prune(shelf, disk)
    return disk


def _default(role: str, name: str) -> Any:
    values = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    return values[f"{role}_{name}"]


def _debian_options() -> list[str]:
    return [
        "--variant=minbase",
        f"--include={','.join(packages())}",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
    ]


def _our_options(debian: Path, archive: Path) -> list[str]:
    unpack = f"mmtarfilter '--path-exclude=/dev/*' < {debian} | tar -C \"$1\" -x --xattrs --xattrs-include='*'"
    ours = f'sh {HERE / "base.sh"} "$1" {archive}'
    return ["--variant=custom", "--skip=update", f"--setup-hook={unpack}", f"--customize-hook={ours}"]


def _mmdebstrap(options: list[str], target: Path, *suite_and_archive: str) -> None:
    run(["mmdebstrap", "--quiet", *options, *suite_and_archive[:1], str(target), *suite_and_archive[1:]], HERE.parent)


def assemble(work: Path, partitions: tuple[Partition, ...] = PARTITIONS) -> None:
    """Make ``disk.raw`` out of ``root.tar``, both in this folder."""
    root = work / "root"
    root.mkdir()
    run(["tar", "--extract", "--numeric-owner", "--xattrs-include=*", f"--directory={root}", "--file=root.tar"], work)
    boot = root / "usr/local/lib/balanced/boot"
    disk = work / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(disk_bytes(partitions))
    run(["sgdisk", "--clear", *sgdisk_arguments(partitions), str(disk)], work)
    places = {placed.partition.name: placed for placed in place(partitions)}
    _write_grub(disk, boot, places["balanced-grub"])
    _copy(_esp(work, boot, places["balanced-esp"]), disk, places["balanced-esp"])
    _copy(_ext4(work, root, places["balanced-a"]), disk, places["balanced-a"])
    _copy(_ext4(work, _data(work), places["balanced-data"]), disk, places["balanced-data"])


def _write_grub(disk: Path, boot: Path, home: Placed) -> None:
    with disk.open("r+b") as file:
        file.write(grub.boot_code((boot / "boot.img").read_bytes(), home.start_sector))
        file.seek(home.start_bytes)
        room_bytes = home.partition.size_bytes
        file.write(grub.core((boot / "core.img").read_bytes(), home.start_sector, room_bytes))


def _esp(work: Path, boot: Path, home: Placed) -> Path:
    made = work / "esp.img"
    with made.open("wb") as file:
        file.truncate(home.partition.size_bytes)
    run(["mformat", "-i", str(made), "-F", "-v", "BALANCED", "::"], work)
    run(["mmd", "-i", str(made), "::/EFI", "::/EFI/BOOT", "::/EFI/debian"], work)
    for source, target in (
        ("bootx64.efi", "BOOT/BOOTX64.EFI"),
        ("grubx64.efi", "BOOT/grubx64.efi"),
        ("grub.cfg", "debian/grub.cfg"),
        ("grubenv", "debian/grubenv"),
    ):
        run(["mcopy", "-i", str(made), str(boot / source), f"::/EFI/{target}"], work)
    return made


def _ext4(work: Path, folder: Path, home: Placed) -> Path:
    made, name = work / f"{home.partition.name}.img", home.partition.name
    with made.open("wb") as file:
        file.truncate(home.partition.size_bytes)
    # GRUB 2.12 reads no file system with a metadata checksum seed or an orphan file, newer defaults of mke2fs.
    features = "^metadata_csum_seed,^orphan_file"
    run(["mke2fs", "-q", "-t", "ext4", "-L", name, "-O", features, "-d", str(folder), str(made)], work)
    return made


def _data(work: Path) -> Path:
    folder = work / "data"
    for name in ("etc", "state", "journal"):
        (folder / name).mkdir(parents=True)
    return folder


def _copy(source: Path, disk: Path, home: Placed) -> None:
    """Into the disk at its place; what is zero is left out, so that the file stays small."""
    with source.open("rb") as content, disk.open("r+b") as file:
        for index, chunk in enumerate(_chunks(content.fileno())):
            if chunk.strip(b"\0"):
                file.seek(home.start_bytes + index * _CHUNK_BYTES)
                file.write(chunk)


def _chunks(descriptor: int) -> Iterable[bytes]:
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        yield chunk


def _say(text: str) -> None:
    sys.stderr.write(f"base: {text}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--assemble"]:
        assemble(Path(sys.argv[2]))
    else:
        try:
            sys.stdout.write(f"{make(wheelhouse.make(RELEASE))}\n")
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            sys.exit(f"base: {error}")
