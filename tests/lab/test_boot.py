"""What starts a kernel reports truly how it ended, and leaves nothing running.

Here it starts namespaces of the lab kernel (LAB_KERNEL=host), since a kernel cannot be booted inside the lab kernel.
"""

import tempfile
import time
from pathlib import Path

import pytest

from tests.lab.boot import NO_ANSWER, TIMED_OUT, Kernel, run
from tests.lab.hosts import wait_until
from tests.lab.shards import Lines


@pytest.fixture(autouse=True)
def in_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KERNEL", "host")
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")  # noqa: S108 - /run/tmp of here is hidden there


def outcome(script: str, timeout_s: float = 60.0) -> tuple[int, str]:
    output: list[bytes] = []
    codes = run([Kernel(["sh", "-c", script])], timeout_s, lambda _kernel, data: output.append(data))
    return codes[0], b"".join(output).decode()


def test_output_and_exit_code_come_out() -> None:
    assert outcome("echo said; exit 7") == (7, "said\n")


def test_the_command_stands_in_an_empty_network_of_its_own() -> None:
    assert outcome("ip -o addr show scope global; ip route; ls /run/netns") == (0, "")


def test_a_command_that_hangs_is_ended_and_nothing_of_it_stays(capfd: pytest.CaptureFixture[str]) -> None:
    begin = time.monotonic()
    assert outcome("sleep 4321 & sleep 4321", timeout_s=2)[0] == TIMED_OUT
    assert time.monotonic() - begin < 10
    assert "was ended after 2 s" in capfd.readouterr().err
    wait_until(lambda: not processes_named("sleep\x004321"), 5, "the command's processes to be gone")


def test_a_kernel_that_dies_is_not_taken_for_success(capfd: pytest.CaptureFixture[str]) -> None:
    kernel = Kernel(["sh", "-c", "echo ready; sleep 4322"])
    assert run([kernel], 60, lambda _kernel, _data: kernel._process.kill()) == [NO_ANSWER]
    assert "ended without an exit code" in capfd.readouterr().err


def test_lines_of_two_kernels_do_not_mix(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show = Lines(2)
    show(0, b"one, ")
    show(1, b"other\r\n")
    show(0, b"two\nthree")
    assert capfdbinary.readouterr().out == b"2| other\n1| one, two\n"


def processes_named(command: str) -> list[str]:
    lines = [path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [line for line in lines if line.startswith(command)]
