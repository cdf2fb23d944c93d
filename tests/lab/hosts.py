"""Hosts of the lab: a network namespace each, with its own files, processes and sockets."""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

RUN = Path("/run/lab")
CLONE_NEWNET = 0x40000000  # linux/sched.h; os.setns exists only from Python 3.12 on
POLL_S = 0.02

_Seen = TypeVar("_Seen")


def wait_until(predicate: Callable[[], _Seen], within_s: float, what: str) -> _Seen:
    """Ask ``predicate`` until it says something true, and return that.

    Raises:
        AssertionError: it did not within ``within_s`` seconds; the text holds ``what`` and its last answer.
    """
    deadline = time.monotonic() + within_s
    while True:
        last_chance = time.monotonic() >= deadline
        seen = predicate()
        if seen:
            return seen
        if last_chance:
            raise AssertionError(f"waited {within_s:g} s in vain for: {what}; last seen: {seen!r}")
        time.sleep(POLL_S)


def output_of(argv: Sequence[str], *, check: bool = True, timeout_s: float = 30.0, stdin: str = "") -> str:
    """Run a program to its end and return its output (stdout, then stderr).

    Raises:
        AssertionError: it failed and ``check`` is set; the text holds its output.
    """
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    text = done.stdout + done.stderr
    assert not check or done.returncode == 0, f"{' '.join(argv)} failed ({done.returncode}):\n{text}"
    return text


@dataclass
class Process:
    """A running program of a host. Its output goes to ``log``."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def text(self) -> str:
        """Everything it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait_for_log(self, pattern: str, within_s: float = 10.0) -> re.Match[str]:
        """Wait until it prints something that matches ``pattern``.

        Raises:
            AssertionError: it did not, or it ended first.
        """

        def found() -> re.Match[str] | None:
            ended = not self.running  # read first: what it printed at its end counts
            match = re.search(pattern, self.text(), flags=re.MULTILINE)
            if match is None and ended:
                raise AssertionError(f"{self.name} ended ({self.popen.returncode}) without {pattern!r}:\n{self.text()}")
            return match

        match = wait_until(found, within_s, f"{self.name} to print {pattern!r}")
        assert match is not None
        return match

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal, SIGKILL if nothing else is said; wait for its end after SIGKILL."""
        self.popen.send_signal(number)
        if number == signal.SIGKILL:
            self.popen.wait()

    def stop(self, within_s: float = 10.0) -> int:
        """Ask it to end (SIGTERM) and return its exit code.

        Raises:
            AssertionError: it is still there after ``within_s`` seconds; it was killed then.
        """
        self.popen.terminate()
        try:
            return self.popen.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} had to be killed {within_s:g} s after SIGTERM:\n{self.text()}") from None


@dataclass
class Host:
    """A network namespace with a folder of its own, ``/run/lab/NAME``; see ``create`` and ``destroy``."""

    name: str
    processes: list[Process] = field(default_factory=list, repr=False)

    @property
    def folder(self) -> Path:
        return RUN / self.name

    def prepare(self) -> None:
        """Set the kernel up for this host, in its fresh namespace: no duplicate address detection, which takes 1 s."""
        for scope in ("all", "default"):
            self.sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)

    def ip(self, *commands: str) -> None:
        """Run ``ip`` commands in one go; the first one that fails is an error."""
        output_of(["ip", "-n", self.name, "-batch", "-"], stdin="\n".join(commands))

    def ip_json(self, *arguments: str) -> list[dict[str, Any]]:
        """What an ``ip`` command shows, decoded."""
        text = subprocess.run(["ip", "-n", self.name, "-j", *arguments], capture_output=True, text=True, check=True)
        shown: list[dict[str, Any]] = json.loads(text.stdout or "[]")
        return shown

    def run(self, argv: Sequence[str], *, check: bool = True, timeout_s: float = 30.0, stdin: str = "") -> str:
        """Run a program to its end and return its output (stdout, then stderr).

        Raises:
            AssertionError: it failed and ``check`` is set; the text holds its output.
        """
        return output_of(self._inside(argv), check=check, timeout_s=timeout_s, stdin=stdin)

    def start(self, argv: Sequence[str], name: str = "") -> Process:
        """Start a program that keeps running; its output goes to ``folder/NAME.log`` (appended at each start)."""
        name = name or Path(argv[0]).name
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(
                self._inside(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        process = Process(f"{self.name}/{name}", popen, log)
        self.processes.append(process)
        return process

    def write(self, path: str, text: str) -> Path:
        """Write a file into the host's folder, whole or not at all, and return where it is."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.new")
        fresh.write_text(text)
        fresh.rename(target)
        return target

    def sysctl(self, name: str, value: int | None = None) -> int:
        """Set a number under /proc/sys/net of this host (given a value) and read it."""
        path = Path("/proc/sys", *name.split("."))
        with self.network():
            if value is not None:
                path.write_text(str(value))
            return int(path.read_text())

    def socket(self, family: socket.AddressFamily, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
        """A socket of this host: it stays in the namespace it was made in."""
        with self.network():
            return socket.socket(family, kind, protocol)

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """The calling thread stands in this host's network, as long as the block lasts."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _setns(there)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(there)
            os.close(home)

    def _inside(self, argv: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self.name, *argv]


def create(hosts: Sequence[Host]) -> None:
    """Make the namespaces and folders of these hosts. A process takes 0.1 s in the lab kernel: one does it for all."""
    output_of(["ip", "-batch", "-"], stdin="\n".join(f"netns add {host.name}" for host in hosts))
    for host in hosts:
        host.folder.mkdir(parents=True)
        host.prepare()


def destroy(hosts: Sequence[Host]) -> None:
    """End every process of these hosts and remove their namespaces and folders."""
    for host in hosts:
        for process in host.processes:
            process.kill()
    output_of(["ip", "-batch", "-"], stdin="\n".join(f"netns delete {host.name}" for host in hosts))
    for host in hosts:
        shutil.rmtree(host.folder)


def _setns(namespace: int) -> None:
    if _LIBC.setns(namespace, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


_LIBC = ctypes.CDLL(None, use_errno=True)
