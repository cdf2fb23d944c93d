"""What makes a node this node goes along into the slot that was written: identity, keys, network, filter.

Copied, not kept on a partition of its own: systemd reads /etc/machine-id and /etc/hostname before it mounts anything,
and a slot that holds its own copy starts without the other partitions too.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import SlotError

KEEP = Path("/etc/balanced/keep")
PATTERNS = (
    "etc/machine-id",
    "etc/hostname",
    "etc/hosts",
    "etc/localtime",
    "etc/ssh/ssh_host_*",
    "etc/systemd/network/*",
    "etc/systemd/resolved.conf.d/*",
    "etc/systemd/timesyncd.conf.d/*",
    "etc/balanced-host/*",
    "root/.ssh/authorized_keys",
)


def patterns(keep: Path = KEEP) -> tuple[str, ...]:
    """What goes along: what every node has, and what the operator's file names besides, a path or pattern in each line.

    Raises:
        SlotError: the file cannot be read, or a line is no absolute path.
    """
    try:
        lines = keep.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return PATTERNS
    except (OSError, UnicodeDecodeError) as error:
        raise SlotError(f"{keep}: cannot be read: {error}") from None
    named = []
    for number, line in enumerate(lines, 1):
        path = line.partition("#")[0].strip()
        if path and (not path.startswith("/") or ".." in path.split("/") or "**" in path or path == "/"):
            raise SlotError(
                f"{keep}:{number}: {path}: is no absolute path, without .. and **", hint="as in /etc/default/rsyslog"
            )
        named.append(path.lstrip("/"))
    return (*PATTERNS, *filter(None, named))


def carry(wanted: Iterable[str], source: Path, target: Path) -> tuple[str, ...]:
    """Copy what these patterns find below ``source`` to the same places below ``target``, and return their paths.

    Owners, modes and times go along; links are copied as links.

    Raises:
        SlotError: something cannot be read or written.
    """
    found = sorted({path for pattern in wanted for path in source.glob(pattern)})
    for path in found:
        place = target / path.relative_to(source)
        try:
            _make_folders(path.parent, source, target)
            _copy(path, place)
        except OSError as error:
            raise SlotError(f"{path}: cannot be taken along: {error.strerror or error}") from None
    return tuple(f"/{path.relative_to(source)}" for path in found)


@contextmanager
def mounted(device: Path) -> Iterator[Path]:
    """The file system of a slot that does not run, mounted where nobody else looks.

    Raises:
        SlotError: it cannot be mounted, or not be written back.
    """
    with tempfile.TemporaryDirectory(prefix="balanced-slot-", dir="/run") as folder:
        _run("mount", "-t", "ext4", "-o", "nosuid,nodev,noexec", str(device), folder)
        try:
            yield Path(folder)
        finally:
            _run("umount", folder)


def grow(device: Path) -> None:
    """Let the mounted file system fill its slot: it comes as small as its content.

    Raises:
        SlotError: it does not let itself be grown.
    """
    _run("resize2fs", str(device))


def _make_folders(source: Path, top: Path, target: Path) -> None:
    """The folders above a file, each as it is here where it is not there yet."""
    place = target / source.relative_to(top)
    if place == target:
        return
    _make_folders(source.parent, top, target)
    if place.is_symlink():
        raise SlotError(f"{place}: is a link in the new slot; it would lead out of it")
    if not place.is_dir():
        place.mkdir()
        _copy_owner(source, place)


def _copy(path: Path, place: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        if not place.is_dir():
            place.mkdir()
        for each in path.iterdir():
            _copy(each, place / each.name)
    else:
        place.unlink(missing_ok=True)
        shutil.copy2(path, place, follow_symlinks=False)
    _copy_owner(path, place)


def _copy_owner(path: Path, place: Path) -> None:
    found = path.lstat()
    os.chown(place, found.st_uid, found.st_gid, follow_symlinks=False)
    if not path.is_symlink():
        place.chmod(found.st_mode & 0o7777)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our words, no shell
    if done.returncode:
        raise SlotError(
            f"{' '.join(command)}: {done.stderr.strip() or done.returncode}", hint="run this as root; dmesg"
        )
