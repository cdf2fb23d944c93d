"""A directory of YAML and JSON files as a source of desired services.

A set is taken whole or not at all: one mistake in one file, or a directory that cannot be read, is a SourceError, and
whoever reads goes on with the last good set (I3).
"""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.decide.merge import merge
from appliance.errors import SourceError
from appliance.model.address import Network
from appliance.model.desired import DesiredService, Problem, ServiceDefaults, Snapshot
from appliance.model.service import ServiceKey
from appliance.sources.inotify import DirectoryWatch
from appliance.sources.kubernetes.objects import Placed
from appliance.sources.kubernetes.translate import translate
from appliance.sources.manifest import Manifest, parse_manifest

SUFFIXES = (".json", ".yaml", ".yml")
MAX_FILE_BYTES = 16 * 1024 * 1024
"""More than 50,000 backends in the longest dialect; a larger file is not desired state but an accident."""

MAX_TORN = 5
"""Readings thrown away in a row because the directory changed meanwhile; then one is taken all the same."""

RETRY_S = 1.0
"""Pause after the kernel refused to watch the directory."""

REREAD_S = 3.0
"""After this time a directory that could not be taken is read again, also where nothing in it has changed."""

SETTLED_NS = 50_000_000
"""A file changed this long ago cannot change again and keep its times: they advance with the kernel's timer tick, 10 ms
at most (inode_set_ctime_current in fs/inode.c)."""

_ON_PURPOSE = "to serve nothing on purpose, put a file with services: [] there"
_PLACE = re.compile(r"(.*?):(\d+)(?=:|$)")


@dataclass(frozen=True, slots=True)
class _Reading:
    """All files of a directory, before anyone judges it."""

    services: tuple[DesiredService, ...] = ()
    objects: tuple[Placed, ...] = ()
    mistakes: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a file said, and by what it is seen that it still says so: inode, size, when it was changed (ns)."""

    identity: tuple[int, ...]
    manifest: Manifest


def read_directory(path: Path, defaults: ServiceDefaults, known: dict[str, Known] | None = None) -> Snapshot:
    """The services of every ``*.yaml``, ``*.yml`` and ``*.json`` file directly in the directory, by name of file.

    ``known`` is what an earlier reading found, brought up to date: only files that have changed are read again.

    Parts of
    Kubernetes objects that cannot be served (a rewritten port, say) are the snapshot's problems.

    Raises:
        SourceError: a mistake of form in any file (the text holds all of them, one a line), no file at all, or a
            directory that cannot be read. Nothing may be concluded from it.
    """
    reading = _read(path, defaults, {} if known is None else known)
    if reading.mistakes:
        raise SourceError("\n".join(str(mistake) for mistake in _sorted(reading.mistakes)))
    return _snapshot(path, reading, defaults)


def check_directory(path: Path, defaults: ServiceDefaults, pools: tuple[Network, ...]) -> tuple[Problem, ...]:
    """Everything that is wrong in the directory, sorted by file and line: mistakes, refusals, merge problems."""
    reading = _read(path, defaults, {})
    merged = merge([_snapshot(path, reading, defaults)], pools)
    return _sorted((*reading.mistakes, *merged.problems))


class FileSource:
    """A directory that is read again whenever it changes.

    ``debounce_s`` is how long it must have been at rest before it is read. ``readings`` counts how often it was.
    """

    def __init__(self, path: Path, defaults: ServiceDefaults, debounce_s: float = 0.1) -> None:
        self.path = path
        self.readings = 0
        self._defaults = defaults
        self._debounce_s = debounce_s
        self._known: dict[str, Known] = {}
        self._services: dict[ServiceKey, DesiredService] = {}

    async def snapshots(self) -> AsyncIterator[Snapshot | SourceError]:
        """The first reading at once, then one after each change that makes a difference; never ends.

        A SourceError means that the source says nothing at the moment: hold the last snapshot.
        """
        last: Snapshot | str | None = None
        torn = 0
        while True:
            try:
                watch = DirectoryWatch(self.path)
            except OSError as error:
                outcome: Snapshot | SourceError = _unwatchable(self.path, error)
                if str(outcome) != last:
                    last = str(outcome)
                    yield outcome
                await asyncio.sleep(RETRY_S)
                continue
            with watch:
                outcome = await asyncio.to_thread(self._read)
                said = str(outcome) if isinstance(outcome, SourceError) else outcome
                torn = torn + 1 if watch.changed.is_set() and torn < MAX_TORN else 0
                if not torn and said != last:
                    last = said
                    yield outcome
                # What could not be read for want of descriptors or memory can be once they are back: no file changes.
                patience_s = REREAD_S if isinstance(outcome, SourceError) else None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience_s):
                        await watch.settled(self._debounce_s)

    def _read(self) -> Snapshot | SourceError:
        self.readings += 1
        try:
            snapshot = read_directory(self.path, self._defaults, self._known)
        except SourceError as error:
            return error
        # A service that is as before is handed on as the same object: who follows need not compare it (decide.merge).
        before = self._services
        services = tuple(old if (old := before.get(each.key)) == each else each for each in snapshot.services)
        self._services = {each.key: each for each in services}
        return replace(snapshot, services=services)


def _read(path: Path, defaults: ServiceDefaults, known: dict[str, Known]) -> _Reading:
    try:
        names = sorted(entry.name for entry in os.scandir(path) if _is_manifest(entry))
    except OSError as error:
        return _Reading(mistakes=(Problem(str(path), _reason(error), f"make it a readable directory; {_ON_PURPOSE}"),))
    if not names:
        what = "holds no .yaml, .yml or .json file"
        return _Reading(mistakes=(Problem(str(path), what, f"put the services there; {_ON_PURPOSE}"),))
    for name in known.keys() - set(names):
        del known[name]
    manifests = [_read_changed(path / name, defaults, known) for name in names]
    mistakes = [mistake for manifest in manifests for mistake in manifest.mistakes]
    if not mistakes and not any(manifest.asks for manifest in manifests):
        mistakes.append(Problem(str(path), "no file in it names a VIP", f"put the services there; {_ON_PURPOSE}"))
    return _Reading(
        services=tuple(service for manifest in manifests for service in manifest.services),
        objects=tuple(placed for manifest in manifests for placed in manifest.objects),
        mistakes=tuple(mistakes),
    )


def _is_manifest(entry: os.DirEntry[str]) -> bool:
    """Whether the entry is to be read. A link to nothing is: it must be noticed, not passed over."""
    named = entry.name.endswith(SUFFIXES) and not entry.name.startswith(".")
    return named and (entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists()))


def _read_changed(path: Path, defaults: ServiceDefaults, known: dict[str, Known]) -> Manifest:
    """What the file says, read only if it may say something else than when it was read last."""
    try:
        found = path.stat()
        identity = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        if path.name in known and known[path.name].identity == identity:
            return known[path.name].manifest
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return _spoilt(path, _reason(error), "make it readable, or remove it")
    manifest = _parse(path, content, defaults)
    if time.time_ns() - found.st_ctime_ns > SETTLED_NS:
        known[path.name] = Known(identity, manifest)
    else:
        known.pop(path.name, None)
    return manifest


def _parse(path: Path, content: bytes, defaults: ServiceDefaults) -> Manifest:
    if len(content) > MAX_FILE_BYTES:
        return _spoilt(path, f"larger than {MAX_FILE_BYTES} bytes", "split it into several files")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return _spoilt(path, f"byte {error.object[error.start]:#04x} is not UTF-8", "save it as UTF-8", line)
    return parse_manifest(path.name, text, defaults)


def _spoilt(path: Path, what: str, remedy: str, line: int = 1) -> Manifest:
    return Manifest(mistakes=(Problem(f"{path.name}:{line}", what, remedy),))


def _reason(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def _snapshot(path: Path, reading: _Reading, defaults: ServiceDefaults) -> Snapshot:
    translation = translate(reading.objects, defaults, from_files=True)
    services = sorted((*reading.services, *translation.services), key=lambda service: _place(service.origin))
    # Nothing at all has to be written down (services: []): what somebody says on purpose is no list that lacks it.
    listed = bool(services or reading.objects)
    return Snapshot(str(path), tuple(services), _sorted(translation.problems), translation.notes, listed=listed)


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: _place(problem.where)))


def _place(where: str) -> tuple[str, int]:
    """File and line of ``web.yaml:12: vip``; what has no line stands first."""
    match = _PLACE.match(where)
    return (match[1], int(match[2])) if match else ("", 0)


def _unwatchable(path: Path, error: OSError) -> SourceError:
    return SourceError(
        f"{path}: changes cannot be watched: {error.strerror or error}",
        hint="raise fs.inotify.max_user_instances, fs.inotify.max_user_watches or the limit of open files",
    )
