"""The partition of a slot: found by its name, written whole, read back."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from appliance.errors import SlotError, UpdateRefused

LABELS = Path("/dev/disk/by-partlabel")
_CHUNK_BYTES = 1 << 20

Progress = Callable[[int], object]
"""Called with the number of bytes that were done since."""


def partition(slot: str, labels: Path = LABELS, root: Path = Path("/")) -> Path:
    """The block device of a slot that does not run.

    Raises:
        SlotError: there is none, or it holds the root file system that is in use.
    """
    path = labels / f"balanced-{slot}"
    try:
        device, in_use = path.stat().st_rdev, root.stat().st_dev
    except OSError as error:
        raise SlotError(
            f"slot {slot.upper()}: {path}: {error.strerror}",
            hint="lsblk -o NAME,PARTLABEL; is this node from the image?",
        ) from None
    if device == in_use:
        raise SlotError(f"slot {slot.upper()}: {path} is what runs now; the kernel's command line says otherwise")
    return path


def room_bytes(device: Path) -> int:
    """How much fits into it.

    Raises:
        SlotError: it cannot be opened.
    """
    try:
        with device.open("rb") as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise SlotError(f"{device}: {error.strerror}", hint="run this as root") from None


def write(content: IO[bytes], device: Path, size_bytes: int, progress: Progress) -> str:
    """Write so many bytes to the device, and return the SHA-256 of what came. On the disk when this returns.

    Raises:
        UpdateRefused: more or less came.
        SlotError: the device is in use, or does not take it.
    """
    digest, left = hashlib.sha256(), size_bytes
    try:
        # open(2): O_EXCL on a block device fails while it is mounted, or held by another update.
        descriptor = os.open(device, os.O_WRONLY | os.O_EXCL)
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor, no path
            while chunk := content.read(min(_CHUNK_BYTES, left + 1)):
                left -= len(chunk)
                if left < 0:
                    break
                _write_all(file.fileno(), chunk)
                digest.update(chunk)
                progress(len(chunk))
            os.fsync(descriptor)
    except OSError as error:
        raise SlotError(f"{device}: {error.strerror}", hint="dmesg; is it mounted? findmnt") from None
    if left:
        raise UpdateRefused(
            f"root.img.zst: {'more' if left < 0 else f'{left} bytes less'} than the {size_bytes} bytes that its "
            "manifest promises, or damaged",
            hint="download it again",
        )
    return digest.hexdigest()


def digest_of(device: Path, size_bytes: int, progress: Progress) -> str:
    """The SHA-256 of the first bytes, read from the disk and not from memory.

    Raises:
        SlotError: it cannot be read.
    """
    digest, left = hashlib.sha256(), size_bytes
    try:
        with device.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while left and (chunk := file.read(min(_CHUNK_BYTES, left))):
                digest.update(chunk)
                left -= len(chunk)
                progress(len(chunk))
    except OSError as error:
        raise SlotError(f"{device}: {error.strerror}", hint="dmesg") from None
    return digest.hexdigest()


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
