"""Files that are replaced whole or not at all."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Make the file hold ``content`` in one step: a crash leaves the old file or the new one.

    ``durable`` holds that also for a crash of the machine, at the price of waiting for the disk; for what is lost with
    the machine anyway it may be False.

    Raises:
        OSError: the disk is full, the folder is missing or read-only; the old file stands.
    """
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)
    if durable:
        _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Without it a crash of the machine may forget the rename (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
