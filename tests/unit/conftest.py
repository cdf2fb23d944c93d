"""Unit tests cannot reach the host: no network, no netlink, no other program.

An audit hook sees every way to a socket or a process, also from C code and from libraries, and nothing can take it away
again. It watches only while a unit test runs, so that other tests of the same pytest run are free.
"""

import socket
import sys
from collections.abc import Iterator

import pytest


class HostReached(BaseException):
    """A unit test reached for the host. No ``except Exception`` in the code under test can hide it."""


# https://docs.python.org/3/library/audit_events.html
PROCESS_EVENTS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"})
OUTWARD_EVENTS = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"})

_watching = False


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if not _watching:
        return
    if event in PROCESS_EVENTS or event in OUTWARD_EVENTS:
        raise HostReached(f"{event} in a unit test: {arguments}")
    # asyncio wakes its loop through a socketpair, which leads nowhere: a unix socket may exist, but not be connected.
    if event == "socket.__new__" and arguments[1] not in (socket.AF_UNIX, -1):
        raise HostReached(f"a socket of family {arguments[1]} in a unit test")


sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def no_host() -> Iterator[None]:
    """Every unit test runs without the host."""
    global _watching  # noqa: PLW0603 - an audit hook takes no state of its own, and there is one per process
    _watching = True
    yield
    _watching = False
