"""What lies in the file systems of a disk image, as folders. Nothing is mounted, so that no root is needed.

debugfs reads a file system inside a file, as e2fsprogs' I/O layer offers it (FILE?offset=BYTES).
"""

import os
import sys
from pathlib import Path

from image.debian import run
from image.layout import Placed, place

HERE = Path(__file__).parent


def located(name: str) -> Placed:
    """The partition with this name.

    Raises:
        KeyError: there is none.
    """
    return {placed.partition.name: placed for placed in place()}[name]


def as_root(module: str, *words: str) -> None:
    """Run a module of this package as root, or as one that sees itself as root and its files as root's.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", module, *words]
    run(command if os.geteuid() == 0 else ["fakeroot", *command], HERE.parent)


def read_file(raw: Path, partition: str, path: str) -> str:
    """One text file.

    Raises:
        RuntimeError: the image is damaged.
    """
    return run(["debugfs", "-R", f"cat {path}", _where(raw, partition)], raw.parent)


def unpack(raw: Path, partition: str, folder: Path) -> None:
    """A whole file system of ext4, with owners, modes and times; without extended attributes, of which it has none.

    Raises:
        RuntimeError: the image is damaged.
    """
    folder.mkdir(parents=True)
    run(["debugfs", "-R", f"rdump / {folder}", _where(raw, partition)], folder)


def unpack_esp(raw: Path, folder: Path) -> None:
    """The ESP, a FAT.

    Raises:
        RuntimeError: the image is damaged.
    """
    folder.mkdir(parents=True)
    where = f"{raw}@@{located('balanced-esp').start_bytes}"
    run(["mcopy", "-s", "-m", "-i", where, "::/*", str(folder)], folder)


def _where(raw: Path, partition: str) -> str:
    return f"{raw}?offset={located(partition).start_bytes}"
