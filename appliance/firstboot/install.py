"""A change -> what stands below /etc/balanced: tried apart as a whole, then put in place, one file after the other.

A crash on the way leaves the record as it was, so the next start does the same change again.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from appliance.errors import ConfigError
from appliance.firstboot.merge import Change, Obeyed, Record
from appliance.firstboot.seed import CONFIG
from appliance.storage import replace_file

_STAGE, _RECORD = ".firstboot", ".firstboot.json"
_FILE_MODE, _FOLDER_MODE = 0o640, 0o750


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of the configuration, and the numbers of the user and the group that its files belong to."""

    path: Path
    owner: int
    group: int


def read_record(home: Home) -> Record:
    """What came of former media; nothing where none was obeyed, or where the record cannot be understood."""
    try:
        return msgspec.json.decode((home.path / _RECORD).read_bytes(), type=dict[str, Obeyed])
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}


def install(home: Home, change: Change, check: Callable[[Path], tuple[str, ...]]) -> tuple[PurePosixPath, ...]:
    """Put the change in place if ``check`` finds no mistake in the whole that it makes; what is different now.

    ``check`` is given the folder in which that whole lies meanwhile.

    Raises:
        ConfigError: it found mistakes; nothing was changed.
        OSError: the disk is full or read-only; what was not yet put in place is as it was.
    """
    stage = home.path / _STAGE
    shutil.rmtree(stage, ignore_errors=True)
    home.path.chmod(_FOLDER_MODE)
    os.chown(home.path, home.owner, home.group)
    try:
        _copy_standing(home, stage)
        different = tuple(_write(home, stage, change.write))
        removed = [path for path in change.remove if (stage / path).is_file()]
        for path in removed:
            (stage / path).unlink()
        if (stage / CONFIG).exists() and (mistakes := check(stage)):
            raise ConfigError(mistakes)
        # What it names is there before the configuration is.
        for path in sorted(different, key=lambda path: path == CONFIG):
            _folder(home, home.path / path.parent)
            (stage / path).replace(home.path / path)
        for path in removed:
            (home.path / path).unlink(missing_ok=True)
        replace_file(home.path / _RECORD, msgspec.json.encode(change.record))
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return (*different, *removed)


def _copy_standing(home: Home, stage: Path) -> None:
    """Everything that stands, by links: nothing is copied and nothing can be half there."""
    _folder(home, stage)
    for place, folders, names in os.walk(home.path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(home.path)
        _folder(home, stage / inside)
        for name in names:
            if not name.startswith("."):
                os.link(Path(place, name), stage / inside / name, follow_symlinks=False)


def _write(home: Home, stage: Path, files: Mapping[PurePosixPath, bytes]) -> list[PurePosixPath]:
    different = []
    for path, content in files.items():
        target = stage / path
        _folder(home, target.parent)
        if target.is_file() and target.read_bytes() == content:
            continue
        target.unlink(missing_ok=True)
        with target.open("xb") as file:
            os.fchmod(file.fileno(), _FILE_MODE)
            os.fchown(file.fileno(), home.owner, home.group)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        different.append(path)
    return different


def _folder(home: Home, path: Path) -> None:
    if not path.is_dir():
        path.mkdir(mode=_FOLDER_MODE)
        os.chown(path, home.owner, home.group)
