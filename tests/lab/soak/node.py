"""One director's node in a soak: its processes, and whether they are free to act."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.bird.render import render_config
from appliance.cli.client import ask
from appliance.config.load import load
from appliance.errors import ControlError
from tests.lab.hosts import Process
from tests.lab.offspring import Offspring, fork
from tests.lab.serving import daemon_config
from tests.lab.soak.oracle import FOREIGN
from tests.lab.topology import Director
from tests.lab.witness import LINK

FOREIGN_NETWORK, FOREIGN_ADDRESS = "192.0.2.0/24", "192.0.2.9"
_GATE = "drain_timeout_s: 2, damping: {free_flaps: 1000}"


@dataclass
class Node:
    """A director, its BIRD, and what was done to them. ``starts`` counts the directors that ran here."""

    director: Director
    services: Path
    starts: int = 0
    routes_lost: bool = False
    _daemon: Offspring | None = field(default=None, repr=False)
    _bird: Process | None = field(default=None, repr=False)
    _stopped: set[str] = field(default_factory=set, repr=False)
    _up: bool = field(default=False, repr=False)
    others: "list[Node]" = field(default_factory=list, repr=False)

    def set_up(self) -> None:
        """Start BIRD and the director, among things that are somebody else's."""
        director, folder = self.director, self.director.folder
        text = daemon_config(director, self.services, gate=_GATE) + "brake: {max_withdraw_fraction: 1}\n"
        path = director.write("appliance.yaml", text)
        foreign = f"protocol static foreign {{ ipv4; route {FOREIGN_NETWORK} blackhole; }}\n"
        director.write("include/foreign.conf", foreign)
        director.ip(f"link add {LINK} type dummy", f"link set {LINK} up", f"addr add {FOREIGN_ADDRESS}/32 dev {LINK}")
        for name, each in FOREIGN.items():
            director.run(["ipvsadm", "-A", *name.split(), *each.scheduling.split()])
            for server, weight in each.destinations:
                director.run(["ipvsadm", "-a", *name.split(), "-r", server, "-m", "-w", str(weight)])
        self._bird = director.start_bird(render_config(load(path)))
        for name in ("run", "state"):
            (folder / name).mkdir()
        self.start_daemon()

    @property
    def free(self) -> bool:
        """Whether the director runs and has made its first pass."""
        return self._up and "director" not in self._stopped

    @property
    def others_free(self) -> bool:
        """Whether no director is on its way up: it would have to wait for its source."""
        return all(node._up for node in (self, *self.others))

    @property
    def bird_answers(self) -> bool:
        return self._bird is not None and "bird" not in self._stopped

    @property
    def can_act(self) -> bool:
        """Whether what it announces is the director's doing."""
        return self.free and self.bird_answers

    def look_after(self) -> None:
        """See whether a director that was started is up, and whether all that should run does.

        Raises:
            AssertionError: a process has ended by itself.
        """
        assert self._daemon is None or self._daemon.running, f"{self.director.name} has ended:\n{self.log()}"
        assert self._bird is None or self._bird.running, f"BIRD has ended:\n{self._bird.text()}"
        if self._daemon is not None and not self._up:
            status = self.ask("status", {})
            self._up = isinstance(status, dict) and status["passes"] > 0

    def ask(self, verb: str, arguments: Mapping[str, object]) -> object:
        """What the director answers; None where it does not."""
        try:
            return ask(self.director.folder / "run/control.sock", verb, arguments)
        except ControlError:
            return None

    def start_daemon(self) -> None:
        self.starts += 1
        folder = self.director.folder
        self._daemon = fork(self.director, folder / "appliance.yaml", folder / f"director-{self.starts}.log")

    def kill_daemon(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()
        self._daemon, self._up = None, False

    def signal_daemon(self, number: signal.Signals) -> None:
        assert self._daemon is not None
        self._daemon.signal(number)
        self._note("director", number)

    def start_bird(self) -> None:
        self._bird = self.director.start_bird()

    def kill_bird(self) -> None:
        if self._bird is not None:
            self._bird.kill()
        self._bird = None

    def signal_bird(self, number: signal.Signals) -> None:
        assert self._bird is not None
        self._bird.kill(number)
        self._note("bird", number)

    def lose_routes(self) -> None:
        self.routes_lost = True
        self.director.remove_routes_to_servers()

    def restore_routes(self) -> None:
        self.director.restore_routes_to_servers()
        self.routes_lost = False

    def log(self) -> str:
        """What the latest directors here said."""
        names = [self.director.folder / f"director-{number}.log" for number in range(1, self.starts + 1)]
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in names[-3:])

    def _note(self, which: str, number: signal.Signals) -> None:
        if number == signal.SIGSTOP:
            self._stopped.add(which)
        else:
            self._stopped.discard(which)
