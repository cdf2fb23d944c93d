"""The host changes of all runs, on disk: so that an operator can see what was set, and what stood there before."""

from pathlib import Path

import msgspec

from appliance.model.host import Change
from appliance.storage import replace_file

_VERSION = 1


class _History(msgspec.Struct, frozen=True):
    version: int
    changes: tuple[Change, ...]


def save(path: Path, changes: tuple[Change, ...]) -> None:
    """Write the changes so that a crash leaves either the old file or the new one.

    Raises:
        OSError: the disk is full, the folder is missing or read-only; the old file stands.
    """
    content = msgspec.json.format(msgspec.json.encode(_History(_VERSION, changes)), indent=2) + b"\n"
    replace_file(path, content)


def load(path: Path) -> tuple[Change, ...]:
    """The changes on disk, none when there is no file.

    A file that is not ours to read (damaged, or of a later version) is set aside as ``*.bad``.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        history = msgspec.json.decode(data, type=_History)
    except (msgspec.DecodeError, RecursionError):
        history = None
    if history is None or history.version != _VERSION:
        path.replace(path.with_name(path.name + ".bad"))
        return ()
    return history.changes
