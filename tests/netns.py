"""Network namespaces of this machine's own kernel, without names: what a test makes is gone with it."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

_CLONE_NEWNET = 0x40000000
_HERE = "/proc/thread-self/ns/net"


class Namespace:
    """A fresh network namespace with the loopback up. Inside ``with namespace.entered()`` this thread is in it."""

    def __init__(self) -> None:
        self._home = os.open(_HERE, os.O_RDONLY)
        # os.unshare and os.setns exist only from Python 3.12 on.
        self._libc = ctypes.CDLL(None, use_errno=True)
        assert self._libc.unshare(_CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        self._fd = os.open(_HERE, os.O_RDONLY)
        self._enter(self._home)
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        os.close(self._home)

    @property
    def path(self) -> str:
        """What ``ip link set ... netns`` takes for it."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and the processes that it starts, are in the namespace; sockets made there stay there."""
        self._enter(self._fd)
        try:
            yield
        finally:
            self._enter(self._home)

    def run(self, *command: str, text: str | None = None) -> str:
        """What a command prints that runs in the namespace; it has to succeed within 10 s."""
        with self.entered():
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def _enter(self, fd: int) -> None:
        assert self._libc.setns(fd, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
