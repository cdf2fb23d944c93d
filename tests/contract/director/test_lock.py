"""One director a node, held by the kernel: with real processes, one of which dies without a word."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.director.lock import only_one
from appliance.errors import AlreadyRunning, ExitCode

HOLDER = """
import signal, sys
from pathlib import Path
from appliance.director.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""
DEADLINE_S = 20


@contextmanager
def holder(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()
            process.wait(DEADLINE_S)


def test_fault_41_a_second_director_is_refused_and_told_who_holds_the_node(folder: Path) -> None:
    lock = folder / "director.lock"
    with holder(lock) as first:
        with pytest.raises(AlreadyRunning) as caught, only_one(lock):
            pass

        assert str(caught.value) == (
            f"a director is running already, process {first.pid} (stop it first; it holds {lock})"
        )
        assert caught.value.exit_code is ExitCode.REFUSED
        assert first.poll() is None, "the first runs on"
        assert lock.read_text() == f"{first.pid}\n", "and its lock is as it was"


def test_the_lock_is_free_when_its_holder_was_killed(folder: Path) -> None:
    lock = folder / "director.lock"
    with holder(lock) as first:
        first.send_signal(signal.SIGKILL)
        first.wait(DEADLINE_S)

        with only_one(lock):
            assert lock.read_text() == f"{os.getpid()}\n"


def test_the_lock_is_free_when_its_holder_has_ended(folder: Path) -> None:
    lock = folder / "director.lock"
    for _ in range(2):
        with only_one(lock):
            pass


def test_the_lock_is_free_after_an_exception(folder: Path) -> None:
    lock = folder / "director.lock"
    with pytest.raises(ZeroDivisionError), only_one(lock):
        raise ZeroDivisionError
    with only_one(lock):
        pass


def test_the_pid_of_a_longer_one_before_leaves_no_digits_behind(folder: Path) -> None:
    lock = folder / "director.lock"
    lock.write_text("123456789012\n")

    with only_one(lock):
        assert lock.read_text() == f"{os.getpid()}\n"


def test_a_program_that_the_director_starts_does_not_inherit_the_lock(folder: Path) -> None:
    """Otherwise a child that outlives a killed director would keep the next one out."""
    lock = folder / "director.lock"
    with only_one(lock):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with only_one(lock):
            assert child.poll() is None
    finally:
        child.kill()
        child.wait(DEADLINE_S)


def test_only_its_owner_may_read_the_lock(folder: Path) -> None:
    lock = folder / "director.lock"
    with only_one(lock):
        assert lock.stat().st_mode & 0o777 == 0o600


def test_a_second_tunnel_agent_is_refused_before_it_touches_anything(tmp_path: Path, folder: Path) -> None:
    config = tmp_path / "tunnel.yaml"
    config.write_text(
        f"pools: [{{name: a, cidrs: [10.50.0.0/24]}}]\ndirectors: []\nagent: {{runtime_dir: {folder}}}\n"
        "telemetry: {metrics_port: null, health_port: null}\n"
    )
    command = [str(Path(sys.executable).with_name("balanced")), "tunnel", "--config", str(config)]
    with holder(folder / "agent.lock") as first:
        second = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert second.returncode == ExitCode.REFUSED
        assert f"a tunnel agent is running already, process {first.pid}" in second.stderr
