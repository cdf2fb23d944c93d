"""A real BIRD on this machine: no privileges, no namespace, addresses of 127.0.0.0/8 and ports of its own."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from appliance.bird.render import render_config
from appliance.config.schema import Config
from tests.lab.birds import BirdInstall

STOP_S = 5
START_S = 10


def eventually(condition: Callable[[], object], within_s: float = START_S) -> None:
    """Wait until the condition holds; fails when it does not in time."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s"
        time.sleep(0.02)


def free_port(address: str) -> int:
    """A TCP port that nobody uses at this address."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def at_ports(config: Config, port: int, peer_port: int) -> str:
    """Our own bird.conf, its one session moved to other ports: that is all a second BIRD on one machine needs."""
    peer = config.bgp.peers[0]
    changes = {
        "log syslog all;": "log stderr all;",
        f"local {peer.source_address} as": f"strict bind yes;\n  local {peer.source_address} port {port} as",
        f"neighbor {peer.address} as": f"neighbor {peer.address} port {peer_port} as",
    }
    text = render_config(config)
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


class RealBird:
    """One BIRD process with its configuration, socket and log in ``folder``."""

    def __init__(self, install: BirdInstall, folder: Path, conf: Path | None = None) -> None:
        self.socket = folder / "bird.ctl"
        self.conf = conf or folder / "bird.conf"
        self.include_dir = folder / "include"
        self._install = install
        self._log = folder / "bird.log"
        self._pid = folder / "bird.pid"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        files = ["-c", str(self.conf), "-s", str(self.socket), "-P", str(self._pid)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*self._install.bird, "-f", *files], stdout=log, stderr=log)
        eventually(self._answers)

    def stop(self) -> None:
        """End it and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_S)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP hangs it, SIGKILL ends it without a word."""
        assert self._process is not None
        self._process.send_signal(number)
        if number is signal.SIGKILL:
            self._process.wait(STOP_S)
            self._process = None

    def says(self, command: str) -> str:
        """What birdc prints: a second opinion, independent of our own client."""
        argv = [*self._install.birdc, "-s", str(self.socket), *command.split()]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10).stdout

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(START_S)
            # It listens before it has read its configuration, and greets afterwards.
            return probe.connect_ex(str(self.socket)) == 0 and probe.recv(4) == b"0001"
