"""One suite for the fakes and for the real kernel: inside the lab (LAB_WORK is set there) it runs on the real one.

Every test gets a network namespace of its own, with the loopback up, so that nothing is left of the one before.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from appliance.director.ports import Ipvs, Link, Routes
from appliance.ipvs.kernel import IpvsKernel
from appliance.routes.kernel import RouteKernel
from appliance.vips.kernel import VipKernel
from tests.fakes.kernel import FakeIpvs, FakeRoutes, FakeVips

REAL = "LAB_WORK" in os.environ or "LAB" in os.environ
KIND = ["real" if REAL else "fake"]
LINK = "dummy-vip-if"
CLONE_NEWNET = 0x40000000

# What only a real kernel can show has no fake half.
_ONLY_REAL = ["test_real_host.py", "test_real_ipvs.py", "test_real_links.py", "test_real_volumes.py"]
collect_ignore = [] if REAL else _ONLY_REAL


@contextmanager
def new_namespace() -> Iterator[None]:
    """A fresh network namespace for this thread; os.unshare exists only from Python 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
        assert libc.setns(home, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(home)


@pytest.fixture
def ip() -> Callable[..., None]:
    """Runs iproute2's ``ip`` in the test's namespace."""

    def run(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, timeout=10)

    return run


@pytest.fixture(autouse=True)
def namespace(ip: Callable[..., None]) -> Iterator[None]:
    with ExitStack() as stack:
        if REAL:
            stack.enter_context(new_namespace())
            ip("link", "set", "lo", "up")
        yield


@pytest.fixture(params=KIND)
def ipvs() -> Iterator[Ipvs]:
    kernel = IpvsKernel() if REAL else FakeIpvs()
    yield kernel
    kernel.close()


@pytest.fixture(params=KIND)
def vips() -> Iterator[Link]:
    kernel = VipKernel(LINK) if REAL else FakeVips()
    yield kernel
    kernel.close()


@pytest.fixture(params=KIND)
def routes() -> Iterator[Routes]:
    kernel = RouteKernel() if REAL else FakeRoutes()
    yield kernel
    kernel.close()
