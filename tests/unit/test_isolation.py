"""Unit tests cannot reach the host."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET])
def test_a_socket_that_leads_to_the_network_or_the_kernel_cannot_be_made(family: int) -> None:
    with pytest.raises(BaseException, match="in a unit test") as caught:
        socket.socket(family, socket.SOCK_RAW)
    assert not isinstance(caught.value, Exception)


def test_a_unix_socket_cannot_be_connected_or_bound(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as local:
        for reach in (local.connect, local.bind):
            with pytest.raises(BaseException, match="in a unit test"):
                reach(str(tmp_path / "bird.ctl"))


@pytest.mark.parametrize("program", ["true", sys.executable])
def test_a_program_cannot_be_started(program: str) -> None:
    for start in (lambda: subprocess.run([program], check=True), lambda: os.system(program)):  # noqa: S605 - refused
        with pytest.raises(BaseException, match="in a unit test"):
            start()


def test_the_process_cannot_fork() -> None:
    with pytest.raises(BaseException, match="in a unit test"):
        os.fork()


def test_code_that_catches_every_exception_does_not_hide_it() -> None:
    def careless() -> None:
        with contextlib.suppress(Exception):
            socket.socket(socket.AF_INET)

    with pytest.raises(BaseException, match="in a unit test"):
        careless()


def test_asyncio_runs() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert asyncio.run(answer()) == 42
