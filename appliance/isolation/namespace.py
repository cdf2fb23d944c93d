"""A network namespace of our own, and threads that live in it.

A socket belongs to the namespace of the thread that made it, for good, and what is under /proc/sys/net is that of the
thread that opens it. So whatever is to work in the namespace works in a thread of its own there, which never leaves:
the rest of this process stays where BIRD, the metrics' scrapers and the cluster are.
"""

import ctypes
import errno
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from appliance.errors import KernelError

NAMES = Path("/run/netns")
"""Where ip netns keeps its names (NETNS_RUN_DIR in iproute2's namespace.h)."""

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_ADD_TIMEOUT_S = 10
_MAKING = "make network namespace"

_Made = TypeVar("_Made")


def make_if_missing(name: str, names: Path = NAMES) -> bool:
    """Have a network namespace of this name as ``ip netns add`` makes it; returns whether it was missing.

    A name is a mount, which no netlink message makes: iproute2 does it, once in the life of the machine.

    Raises:
        KernelError: there is no iproute2, or it fails.
    """
    if (names / name).exists():
        return False
    quiet = subprocess.DEVNULL
    command = ["ip", "netns", "add", name]
    try:
        # The configuration's schema lets a name hold letters, digits and . _ - only.
        done = subprocess.run(  # noqa: S603 - as above
            command, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE, timeout=_ADD_TIMEOUT_S, check=False
        )
    except OSError as error:
        raise KernelError(_MAKING, name, error.errno or errno.EIO, hint="apt-get install iproute2") from error
    except subprocess.TimeoutExpired as error:
        raise KernelError(_MAKING, name, errno.ETIMEDOUT, hint="ip netns add hangs; dmesg may say why") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        hint = f"ip netns add said: {said[:200]}; under systemd, install what balanced units writes"
        raise KernelError(_MAKING, name, errno.EIO, hint=hint)
    return True


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
    # os.setns exists only from Python 3.12 on.
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        hints = {
            errno.EPERM: "run it as root or give it CAP_SYS_ADMIN; under systemd, install what balanced units writes",
            errno.EINVAL: f"that is no network namespace: remove the file, then ip netns add {path.name}",
        }
        raise KernelError("enter network namespace", str(path), number, hint=hints.get(number, ""))
