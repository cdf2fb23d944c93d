"""System calls that Python lacks: mount(2) everywhere, setns(2) and unshare(2) before 3.12.

Each raises OSError where the kernel says no.
"""

import ctypes
import os
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # linux/sched.h
# linux/mount.h
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_SHARED = 0x100000

_LIBC = ctypes.CDLL(None, use_errno=True)


def enter_network(descriptor: int) -> None:
    """Move this thread, and no other, into the network namespace that ``descriptor`` refers to."""
    _checked(_LIBC.setns(descriptor, _CLONE_NEWNET), "setns")


def new_network() -> None:
    """Move this thread, and no other, into a network namespace that is made for it."""
    _checked(_LIBC.unshare(_CLONE_NEWNET), "unshare")


def bind(source: Path, target: Path) -> None:
    """Have ``target`` lead to what ``source`` leads to, with all that is mounted below it."""
    _mount(source, target, _MS_BIND | _MS_REC)


def share(target: Path) -> None:
    """Have what is mounted below ``target`` be seen by other mount namespaces too; EINVAL where it is no mount."""
    _mount(Path("none"), target, _MS_SHARED | _MS_REC)


def _mount(source: Path, target: Path, flags: int) -> None:
    done = _LIBC.mount(os.fsencode(source), os.fsencode(target), b"none", ctypes.c_ulong(flags), None)
    _checked(done, f"mount {target}")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
