"""What differs between two images, file by file: ``python -m image.differ A B``.

Each is a folder that ``make image`` printed, or a disk. Compared is what is in the file systems, not the bytes of the
disks: those differ by themselves, since a running kernel decides where a file system puts a block. Times are counted,
not listed. Exits with 1 if anything differs but times.
"""

import hashlib
import json
import stat
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from image.contents import as_root, unpack, unpack_esp
from image.debian import run

PARTITIONS = ("balanced-esp", "balanced-a", "balanced-data")
Kind = Literal["file", "folder", "link", "other"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a file system. ``content`` is the SHA-256 of a file, the target of a link."""

    kind: Kind
    mode: int
    owner: str
    size_bytes: int
    content: str
    changed_s: int


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One name that is not the same on both sides: in what, as words of `Entry`; or where it is alone."""

    path: str
    what: tuple[str, ...]


def compare(left: Mapping[str, Entry], right: Mapping[str, Entry]) -> list[Difference]:
    """Every name that differs, in order, but for what lies in a folder that is itself on one side only."""
    found = [Difference(path, ("only in the first",)) for path in _topmost(left.keys() - right.keys())]
    found += [Difference(path, ("only in the second",)) for path in _topmost(right.keys() - left.keys())]
    for path in left.keys() & right.keys():
        differing = tuple(_differing(left[path], right[path]))
        found += [Difference(path, differing)] if differing else []
    return sorted(found)


def _topmost(paths: set[str]) -> Iterable[str]:
    return (path for path in paths if path.rpartition("/")[0] not in paths)


def _differing(left: Entry, right: Entry) -> Iterable[str]:
    for each in fields(Entry):
        # Another content is one difference, not two.
        if each.name != "size_bytes" and getattr(left, each.name) != getattr(right, each.name):
            yield each.name


def report(names: int, found: Iterable[Difference]) -> str:
    """For people: how much is the same, and a line for each name that differs in more than its time."""
    items = list(found)
    lines = [f"  {each.path}: {', '.join(each.what)}\n" for each in items if each.what != ("changed_s",)]
    times = sum("changed_s" in each.what for each in items)
    return f"{names} names, {len(lines)} differ, {times} have another time\n{''.join(lines)}"


def contents(image: Path) -> dict[str, Entry]:
    """All names in an image, each as ``PARTITION:/path``.

    Raises:
        RuntimeError: there is no image, or it is damaged.
    """
    disk = next(iter(sorted(image.glob("*.qcow2"))), image) if image.is_dir() else image
    with tempfile.TemporaryDirectory(prefix="balanced-differ-") as name:
        raw, listed = Path(name) / "disk.raw", Path(name) / "contents.json"
        run(["qemu-img", "convert", "-O", "raw", str(disk.resolve()), str(raw)], Path(name))
        as_root("image.differ", "--list", str(raw), str(listed))
        return {path: Entry(**values) for path, values in json.loads(listed.read_text()).items()}


def _list(raw: Path) -> dict[str, Entry]:
    found = {}
    for partition in PARTITIONS:
        folder = raw.parent / partition
        if partition == "balanced-esp":
            unpack_esp(raw, folder)
        else:
            unpack(raw, partition, folder)
        for path in folder.rglob("*"):
            found[f"{partition}:/{path.relative_to(folder)}"] = entry(path)
    return found


def entry(path: Path) -> Entry:
    """What lies here."""
    found = path.lstat()
    kind: Kind = "other"
    content = ""
    if stat.S_ISLNK(found.st_mode):
        kind, content = "link", str(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        kind = "file"
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    elif stat.S_ISDIR(found.st_mode):
        kind = "folder"
    size_bytes = found.st_size if kind == "file" else 0
    mode = stat.S_IMODE(found.st_mode)
    return Entry(kind, mode, f"{found.st_uid}:{found.st_gid}", size_bytes, content, int(found.st_mtime))


def main() -> None:
    """Print the report."""
    if sys.argv[1:2] == ["--list"]:
        names = _list(Path(sys.argv[2]))
        Path(sys.argv[3]).write_text(json.dumps({path: asdict(each) for path, each in names.items()}))
        return
    first, second = sys.argv[1:]
    left, right = contents(Path(first)), contents(Path(second))
    found = compare(left, right)
    sys.stdout.write(report(len(left.keys() | right.keys()), found))
    sys.exit(any(each.what != ("changed_s",) for each in found))


if __name__ == "__main__":
    main()
