"""The set that a node starts from without a disk: kernel, initramfs, root, and a script for iPXE.

The root is a squashfs in an archive of its own, which the boot loader gives to the kernel behind the initramfs. So
whatever can load an initramfs can load it, by any protocol, and no network is needed before the system runs.
``initramfs/script`` is the other half.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from image.contents import as_root, unpack
from image.debian import run

HERE = Path(__file__).parent
IN_ARCHIVE = "root.squashfs"
FILES = ("vmlinuz", "initrd.img", "root.img", "boot.ipxe")
# The kernel is loaded from elsewhere.
_LEFT_OUT = ("boot/*", "vmlinuz*", "initrd.img*", "lost+found")
_ALIGN = 4


def make(raw: Path, out: Path) -> None:
    """Write the set into a folder, from slot A of a disk image.

    Raises:
        RuntimeError: a tool failed.
    """
    out.mkdir()
    with tempfile.TemporaryDirectory(dir=out.parent, prefix="netboot-") as work:
        as_root("image.netboot", str(raw), work)
        for name in ("vmlinuz", "initrd.img"):
            shutil.copy(Path(work) / name, out / name)
        squashfs = Path(work) / IN_ARCHIVE
        with squashfs.open("rb") as content, (out / "root.img").open("wb") as archive:
            archive.write(before(IN_ARCHIVE, squashfs.stat().st_size))
            shutil.copyfileobj(content, archive)
            archive.write(after(squashfs.stat().st_size))
    shutil.copy(HERE / "boot.ipxe", out)


def before(name: str, size_bytes: int) -> bytes:
    """What stands before the content of a file in an archive of the kernel's format.

    That is cpio's "newc" (Documentation/driver-api/early-userspace/buffer-format.rst). The file is root's, for all to
    read.
    """
    encoded = name.encode() + b"\0"
    mode, links = 0o100444, 1
    fields = (0, mode, 0, 0, links, 0, size_bytes, 0, 0, 0, 0, len(encoded), 0)
    return _padded(b"070701" + b"".join(b"%08x" % each for each in fields) + encoded)


def after(size_bytes: int) -> bytes:
    """What stands behind that content: zeros up to a whole word, and the end of the archive."""
    return bytes(-size_bytes % _ALIGN) + before("TRAILER!!!", 0)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGN)


def _extract(raw: Path, work: Path) -> None:
    root = work / "root"
    unpack(raw, "balanced-a", root)
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy((root / name).resolve(), work / name)
    (root / "etc/fstab").write_text("# This node has no disk: its root and all that it writes are in memory.\n")
    options = ["-quiet", "-no-progress", "-no-xattrs", "-comp", "zstd", "-b", "1M", "-wildcards", "-e", *_LEFT_OUT]
    run(["mksquashfs", str(root), str(work / IN_ARCHIVE), *options], work)


if __name__ == "__main__":
    _extract(Path(sys.argv[1]), Path(sys.argv[2]))
