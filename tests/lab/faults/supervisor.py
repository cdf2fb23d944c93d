"""What systemd does for the director: it is told of readiness, ends what stops feeding the watchdog, starts it anew.

The lab has no systemd. This plays the part of it that the unit files ask for (sd_notify(3), systemd.service(5)).
"""

import contextlib
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.lab.boot import TREE
from tests.lab.hosts import Process, output_of
from tests.lab.serving import Serving
from tests.lab.topology import Director

LOOK_S = 0.1


UNIT = TREE / "templates/systemd/balanced-director.service.j2"


@dataclass(frozen=True, slots=True)
class Unit:
    """The settings of balanced-director.service that count here, in systemd's words; times in seconds."""

    restart_s: float
    start_limit_burst: int
    start_limit_interval_s: float


def shipped() -> Unit:
    """The settings of the unit that the project ships."""
    text = UNIT.read_text()

    def seconds(name: str) -> float:
        found = re.search(rf"^{name}=(\d+)(ms)?$", text, flags=re.MULTILINE)
        assert found, f"{UNIT} has no {name}="
        return int(found[1]) / (1000 if found[2] else 1)

    return Unit(seconds("RestartSec"), int(seconds("StartLimitBurst")), seconds("StartLimitIntervalSec"))


@dataclass
class Supervisor:
    """Keeps one director running; ``release`` is what it starts: a bad release is a program that ends at once."""

    serving: Serving
    director: Director
    unit: Unit = field(default_factory=shipped)
    release: Sequence[str] = ()
    starts_s: list[float] = field(default_factory=list)
    aborted: int = 0
    ready: int = 0
    status: str = ""
    lost: str | None = None

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._fed_s = 0.0
        self._watchdog_s = 0.0
        path = self.director.folder / "notify"
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(LOOK_S)
        self._environment = ["env", f"NOTIFY_SOCKET={path}", "prlimit", "--core=0"]
        self._start()
        self._thread = threading.Thread(target=self._run, name="supervisor")
        self._thread.start()

    @property
    def process(self) -> Process:
        """What it started last."""
        return self.serving.daemons[self.director.name]

    def stop(self) -> None:
        """Look after it no longer; what runs goes on."""
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                self._hear(self._socket.recv(4096).decode())
            if self.lost is not None:
                continue
            if not self.process.running:
                self._ended()
            elif self._watchdog_s and time.monotonic() - self._fed_s > self._watchdog_s:
                self.aborted += 1
                self._watchdog_s = 0.0
                for number in (signal.SIGABRT, signal.SIGCONT):  # systemd: kill_and_sigcont()
                    self.process.popen.send_signal(number)

    def _hear(self, message: str) -> None:
        said = dict(line.split("=", 1) for line in message.splitlines())
        self.status = said.get("STATUS", self.status)
        if said.get("READY"):
            self.ready += 1
        if said.get("READY") or said.get("WATCHDOG"):
            self._fed_s = time.monotonic()
        if "WATCHDOG_USEC" in said:
            self._watchdog_s = int(said["WATCHDOG_USEC"]) / 1e6

    def _start(self) -> None:
        self.starts_s.append(time.monotonic())
        self._watchdog_s = 0.0
        self.serving.start(self.director, release=self.release, under=self._environment)

    def _ended(self) -> None:
        recent = [at for at in self.starts_s if time.monotonic() - at <= self.unit.start_limit_interval_s]
        if len(recent) >= self.unit.start_limit_burst:
            self.lost = self._on_failure()
        elif not self._over.wait(self.unit.restart_s):
            self._start()

    def _on_failure(self) -> str:
        """The lost-director unit: nothing but Python's standard library."""
        script, runtime = TREE / "appliance/last_will.py", self.director.folder / "run"
        argv = ["env", "-i", "/usr/bin/python3", "-I", "-S", str(script), str(runtime)]
        try:
            return output_of(argv, timeout_s=60)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            return f"the last will failed: {error}"


@contextlib.contextmanager
def supervised(serving: Serving, director: Director) -> Iterator[Supervisor]:
    """In place of the director's daemon one that is looked after; at the end it is left running."""
    if director.name in serving.daemons:
        serving.daemons[director.name].kill()
    supervisor = Supervisor(serving, director)
    try:
        yield supervisor
    finally:
        supervisor.stop()
