"""Being told that something under a directory's name has changed."""

import asyncio
import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from asyncinotify import Event, Inotify, Mask

_CONTENT = (
    Mask.MODIFY
    | Mask.CLOSE_WRITE
    | Mask.ATTRIB
    | Mask.CREATE
    | Mask.DELETE
    | Mask.MOVED_FROM
    | Mask.MOVED_TO
    | Mask.DELETE_SELF
    | Mask.MOVE_SELF
)
_NAMES = Mask.ATTRIB | Mask.CREATE | Mask.DELETE | Mask.MOVED_FROM | Mask.MOVED_TO
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}

MAX_SETTLE = 10
"""A directory that never rests is read after this many debounce times."""


class DirectoryWatch:
    """Watches a directory and, for its coming and going, every directory above it.

    Events only say "look again", never what changed: whoever waits reads the whole directory afterwards, so a queue
    overflow (IN_Q_OVERFLOW) is an event like any other. A watch holds on to the directory it found; open a new one
    before each reading, so that a directory that was replaced is followed.
    """

    def __init__(self, path: Path) -> None:
        """Start watching at once; must be called in a running event loop.

        Raises:
            OSError: the kernel gives no more inotify instances or watches (inotify(7): EMFILE, ENOSPC).
        """
        self.changed = asyncio.Event()
        self._interesting: dict[int, str | None] = {}
        self._loop = asyncio.get_running_loop()
        self._inotify = Inotify(sync_timeout=0)
        try:
            self._arm(path.absolute())
        except OSError:
            self._inotify.close()
            raise
        self._loop.add_reader(self._inotify.fd, self._drain)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._inotify.fd)
        self._inotify.close()

    async def settled(self, debounce_s: float) -> None:
        """Return once something has changed and then nothing for ``debounce_s`` seconds."""
        await self.changed.wait()
        for _ in range(MAX_SETTLE):
            self.changed.clear()
            try:
                async with asyncio.timeout(debounce_s):
                    await self.changed.wait()
            except TimeoutError:
                return

    def _arm(self, path: Path) -> None:
        """Watch from the root downwards, as far as there is something: what appears later has a watch above it."""
        chain = [*reversed(path.parents), path]
        for directory, name in zip(chain, [child.name for child in chain[1:]] + [None], strict=True):
            mask = _CONTENT if name is None else _NAMES
            try:
                watch = self._inotify.add_watch(os.fsencode(directory), mask | Mask.ONLYDIR)
            except PermissionError:
                continue
            except OSError as error:
                if error.errno in _NOT_THERE:
                    return
                raise
            self._interesting[watch.wd] = name

    def _drain(self) -> None:
        # Read synchronously: asyncinotify's own waiting loses events that arrive while it is being cancelled.
        for event in self._inotify:
            if self._matters(event):
                self.changed.set()

    def _matters(self, event: Event) -> bool:
        if event.watch is None:
            return True
        name = self._interesting.get(event.watch.wd)
        return name is None or event.name is None or str(event.name) == name
