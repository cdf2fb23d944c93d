"""mount(2) and unshare(2), which Python does not offer. Constants are those of linux/mount.h and linux/sched.h."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import KernelError

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_BIND, _MS_REC, _MS_SILENT, _MS_PRIVATE = 1 << 12, 1 << 14, 1 << 15, 1 << 18
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def mount_apart() -> None:
    """From here on what this process mounts is seen by nobody else, and gone when it ends.

    Raises:
        KernelError: this process may not (CAP_SYS_ADMIN).
    """
    _call("unshare", "mounts", _libc.unshare(_CLONE_NEWNS))
    _mount("", Path("/"), "", _MS_REC | _MS_PRIVATE)


@contextmanager
def mounted_volume(device: Path, point: Path) -> Iterator[Path]:
    """The file system on this block device, vfat or iso9660, to be read at ``point``.

    Raises:
        KernelError: it is neither, or cannot be read.
    """
    point.mkdir(parents=True, exist_ok=True)
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC | _MS_SILENT
    try:
        _mount(str(device), point, "vfat", flags)
    except KernelError:
        _mount(str(device), point, "iso9660", flags)
    with _unmounting(point):
        yield point


@contextmanager
def standing_at(folder: Path, point: Path) -> Iterator[None]:
    """Meanwhile ``point`` shows what is in ``folder``, to this process only.

    Raises:
        KernelError: the kernel refuses.
    """
    _mount(str(folder), point, "", _MS_BIND)
    with _unmounting(point):
        yield


@contextmanager
def _unmounting(point: Path) -> Iterator[None]:
    try:
        yield
    finally:
        _call("umount", str(point), _libc.umount2(os.fsencode(point), _MNT_DETACH))


def _mount(source: str, point: Path, kind: str, flags: int) -> None:
    result = _libc.mount(os.fsencode(source), os.fsencode(point), kind.encode(), ctypes.c_ulong(flags), None)
    _call("mount", f"{source} on {point}", result)


def _call(op: str, key: str, result: int) -> None:
    if result != 0:
        raise KernelError(op, key, ctypes.get_errno())
