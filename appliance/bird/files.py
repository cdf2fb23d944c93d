"""The files that BIRD reads, replaced whole or not at all."""

import grp
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import BirdError

DIRECTORY_MODE = 0o755
BIRD_GROUP = "bird"
# BIRD includes *.conf: a half-written file must not match.
TEMPORARY_SUFFIX = ".new"


def read(path: Path) -> bytes | None:
    """What stands in the file, or None where there is none.

    Raises:
        BirdError: it is there and cannot be read.
    """
    with _told(path, "read"):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def replace(path: Path, content: bytes | None, mode: int) -> None:
    """Make the file hold ``content`` with the permissions ``mode``, or remove it where ``content`` is None.

    An owner and a group that the file has already are kept; a new file that others may not read goes to the group
    ``bird``, where there is one, since BIRD reads its configuration after it has given up root.

    Raises:
        BirdError: it cannot be written; the file is as it was.
    """
    with _told(path, "write"):
        if content is None:
            path.unlink(missing_ok=True)
            return
        temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        try:
            temporary.touch(mode=0o600)
            temporary.write_bytes(content)
            _own(temporary, path, mode)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def make_directory(path: Path) -> None:
    """Make the directory, and those above it, readable by everybody, BIRD included.

    Raises:
        BirdError: that is impossible.
    """
    with _told(path, "make"):
        for folder in reversed((path, *path.parents)):
            if not folder.is_dir():
                folder.mkdir()
                folder.chmod(DIRECTORY_MODE)  # mkdir's own mode is cut by the umask


def _own(temporary: Path, path: Path, mode: int) -> None:
    temporary.chmod(mode)
    fresh = temporary.stat()
    uid, gid = fresh.st_uid, fresh.st_gid
    if path.exists():
        gid = path.stat().st_gid
        # Only root can give a file away. Under systemd the director is not root.
        uid = path.stat().st_uid if os.geteuid() == 0 else uid
    elif not mode & 0o004:
        gid = next((group.gr_gid for group in grp.getgrall() if group.gr_name == BIRD_GROUP), gid)
    # There the call is forbidden, too, and not needed: the folder hands its group down.
    if (uid, gid) != (fresh.st_uid, fresh.st_gid):
        os.chown(temporary, uid, gid)


@contextmanager
def _told(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BirdError(
            f"cannot {verb} {path}: {error.strerror or error}", hint="look for a full or read-only disk"
        ) from error
