"""systemd's notification protocol on a real socket (sd_notify(3)); one of our own stands in for systemd's."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.director.systemd import reloading, stopping
from appliance.telemetry.notify import notify


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        yield listener


def test_an_assignment_is_a_line_of_one_datagram(tmp_path: Path) -> None:
    with listening(str(tmp_path / "notify")) as systemd:
        assert notify("READY=1", "STATUS=well", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert systemd.recv(1024) == b"READY=1\nSTATUS=well"


def test_an_abstract_address_begins_with_an_at_sign() -> None:
    name = f"balanced-test-{id(object())}"
    with listening(f"\0{name}") as systemd:
        assert notify("READY=1", environment={"NOTIFY_SOCKET": f"@{name}"})
        assert systemd.recv(1024) == b"READY=1"


def test_off_systemd_nobody_is_told() -> None:
    assert not notify("READY=1", environment={})


def test_a_systemd_that_is_not_there_disturbs_nobody(tmp_path: Path) -> None:
    assert not notify("READY=1", environment={"NOTIFY_SOCKET": str(tmp_path / "nothing")})


def test_a_systemd_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    """Its queue is short (net.unix.max_dgram_qlen); a blocking send would wait for it for ever."""
    with listening(str(tmp_path / "notify")):
        said = [notify("WATCHDOG=1", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) for _ in range(2000)]

    assert said[0]
    assert not said[-1]


def test_a_reload_is_told_with_the_time_on_systemds_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with listening(str(tmp_path / "notify")) as systemd:
        before_us = time.monotonic_ns() // 1000
        reloading()
        first, second = systemd.recv(1024).decode().split("\n")

    assert first == "RELOADING=1"
    assert before_us <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_the_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with listening(str(tmp_path / "notify")) as systemd:
        stopping()
        assert systemd.recv(1024).startswith(b"STOPPING=1\n")
