"""A network namespace of our own, and threads that live in it.

A socket belongs to the namespace of the thread that made it, for good, and what is under /proc/sys/net is that of the
thread that opens it. So whatever is to work in the namespace works in a thread of its own there, which never leaves:
the rest of this process stays where BIRD, the metrics' scrapers and the cluster are.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from appliance.errors import KernelError
from appliance.isolation import syscalls

NAMES = Path("/run/netns")
"""Where ip netns keeps its names (NETNS_RUN_DIR in iproute2's namespace.h)."""

_OWN = Path("/proc/thread-self/ns/net")
_NOT_ALLOWED = "run it as root; under systemd, install what balanced units writes"

_Made = TypeVar("_Made")


def make_if_missing(name: str, names: Path = NAMES) -> bool:
    """Have a network namespace of this name as ``ip netns add`` makes it; returns whether it was missing.

    A name is an empty file with the namespace mounted over it (``netns_add`` in iproute2's ipnetns.c). A file without
    one, left by whoever died in between, is completed; of what fails here no file is left.

    Raises:
        KernelError: this process may not make one, or the kernel has none.
    """
    path = names / name
    try:
        if _stands(path):
            return False
        names.mkdir(mode=0o755, exist_ok=True)
        with _alone(names):
            if _stands(path):
                return False
            _have_seen_elsewhere(names)
            with ThreadPoolExecutor(1) as passing:
                passing.submit(_make, path).result()
    except OSError as error:
        hint = _NOT_ALLOWED if error.errno in (errno.EPERM, errno.EACCES, errno.EROFS) else ""
        raise KernelError("make network namespace", name, error.errno or errno.EIO, hint=hint) from error
    return True


@contextmanager
def _alone(names: Path) -> Iterator[None]:
    """Nobody else prepares the folder meanwhile: iproute2 takes this lock too."""
    folder = os.open(names, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _stands(path: Path) -> bool:
    """Whether there is something at ``path``, other than the empty file that waits for its namespace."""
    if not path.exists():
        return False
    found = path.stat()
    mounted = found.st_dev != path.parent.stat().st_dev
    return mounted or not stat.S_ISREG(found.st_mode) or found.st_size > 0


def _have_seen_elsewhere(names: Path) -> None:
    """Make the folder a mount of its own, so that a name in it can be deleted while others hold a copy of it."""
    try:
        syscalls.share(names)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        syscalls.bind(names, names)
        syscalls.share(names)


def _make(path: Path) -> None:
    """For a thread that ends with it: it does not come back from the namespace that it makes."""
    found = path.exists()
    path.touch(mode=0)
    try:
        syscalls.new_network()
        syscalls.bind(_OWN, path)
    except OSError:
        if not found:
            path.unlink()
        raise


class Namespace:
    """The network namespace that ``path`` names. It outlives this object, with all that stands in it.

    Raises:
        KernelError: there is none at ``path``, or this process may not enter it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = ExitStack()
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError("open network namespace", str(path), error.errno or errno.EIO) from error
        self._threads.callback(os.close, self.descriptor)
        try:
            self._home = self.thread()
        except KernelError:
            self._threads.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; only when nobody waits for them any more. A second call does nothing."""
        self._threads.close()

    def thread(self) -> ThreadPoolExecutor:
        """One thread that is in the namespace as long as this object lasts.

        Raises:
            KernelError: this process may not enter.
        """
        executor = self._threads.enter_context(ThreadPoolExecutor(1, thread_name_prefix=self._path.name))
        executor.submit(_enter, self.descriptor, self._path).result()
        return executor

    def run(self, call: Callable[..., _Made], *arguments: object) -> _Made:
        """What ``call`` gives when it is called in the namespace."""
        return self._home.submit(call, *arguments).result()

    def inside(self, make: Callable[..., _Made], *arguments: object) -> _Made:
        """What ``make`` makes in the namespace; each call of its methods is carried out there too.

        It gets a thread of its own, so that nobody waits for another. Methods may be called and plain values read,
        nothing else: no ``with``.
        """
        thread = self.thread()
        return cast(_Made, _Inside(thread.submit(make, *arguments).result(), thread))


class _Inside:
    """Stands for an object whose methods are to be called in one thread."""

    def __init__(self, made: object, thread: ThreadPoolExecutor) -> None:
        self._made = made
        self._thread = thread

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._made, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **keywords: Any) -> Any:
            return self._thread.submit(found, *arguments, **keywords).result()

        return call


def _enter(descriptor: int, path: Path) -> None:
    try:
        syscalls.enter_network(descriptor)
    except OSError as error:
        hints = {
            errno.EPERM: "run it as root or give it CAP_SYS_ADMIN; under systemd, install what balanced units writes",
            errno.EINVAL: f"that is no network namespace: remove the file, then ip netns add {path.name}",
        }
        number = error.errno or errno.EIO
        raise KernelError("enter network namespace", str(path), number, hint=hints.get(number, "")) from error
