"""The boot loader's variables on the ESP: read, and changed in place."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from appliance.errors import SlotError
from appliance.slots.counting import Slots, read, running
from appliance.slots.grubenv import SIZE_BYTES, parse, render

GRUBENV = Path("/efi/EFI/debian/grubenv")
COMMAND_LINE = Path("/proc/cmdline")


def running_slot(command_line: Path = COMMAND_LINE) -> str:
    """The slot that runs.

    Raises:
        SlotError: the kernel was not started from a slot.
    """
    return running(command_line.read_text(encoding="ascii", errors="replace"))


def slots_in(path: Path = GRUBENV) -> Slots:
    """What GRUB will do at the next start.

    Raises:
        SlotError: the file is not there or is not GRUB's.
    """
    try:
        return read(parse(path.read_bytes()))
    except OSError as error:
        raise _unreadable(path, error) from None


def change(event: Callable[[Slots], Slots], path: Path = GRUBENV) -> Slots:
    """Let something happen to the slots, and return what follows from it; it is on the disk then.

    The file stays where it is: GRUB under BIOS writes to its sectors. Nothing is written where nothing changes.

    Raises:
        SlotError: the file is not there, is not GRUB's, or cannot be written; or ``event`` raises it.
    """
    try:
        with path.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            values = parse(file.read(SIZE_BYTES + 1))
            before = read(values)
            after = event(before)
            if after != before:
                os.pwrite(file.fileno(), render({**values, **after.variables}), 0)
                os.fsync(file.fileno())
            return after
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> SlotError:
    return SlotError(
        f"{path}: {error.strerror}",
        hint="run this as root, on a node that was installed from the image; is the ESP mounted? mount /efi",
    )
