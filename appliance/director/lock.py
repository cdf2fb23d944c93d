"""One daemon of a kind on a node: a lock that the kernel lets go of when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import AlreadyRunning


@contextmanager
def only_one(path: Path, what: str = "a director") -> Iterator[None]:
    """Hold the lock file at ``path``, as ``what``.

    Raises:
        AlreadyRunning: another process holds it; nothing of it was touched.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise AlreadyRunning(
                f"{what} is running already, process {holder}", hint=f"stop it first; it holds {path}"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
