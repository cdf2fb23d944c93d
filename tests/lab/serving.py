"""The appliance in the lab: two directors that run our daemon, on service files that a test writes."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.bird.render import render_config
from appliance.cli.client import ask
from appliance.config.load import load
from tests.lab.hosts import Process, wait_until
from tests.lab.topology import DIRECTOR_AS, POOL4, POOL6, ROUTER_AS, Director, Lab, Server

# Start-up of Python alone takes seconds in the lab kernel.
STARTED_WITHIN_S = 40.0
BOTH = frozenset({"director1", "director2"})


def daemon_config(
    director: Director, services: Path, sources: str = "", *, gate: str = "", daemon: str = "", peers: str = ""
) -> str:
    """The whole configuration of one director; ``sources`` are others than the files in ``services``.

    ``gate`` and ``daemon`` are further keys of the sections gate and director. ``peers`` (a list, YAML in one line) are
    other sessions than one for each IP version.
    """
    link, folder = director.link, director.folder
    usual = (
        f"[{{name: router, address: {link.router4}, as: {ROUTER_AS}}}, "
        f'{{name: router_v6, address: "{link.router6}", as: {ROUTER_AS}}}]'
    )
    return f"""\
node: {{name: {director.name}, router_id: {link.host4}, uplinks: [eth0]}}
pools:
  - {{name: lab, cidrs: ["{POOL4}", "{POOL6}"]}}
sources: {sources or f"{{file: {{path: {services}}}}}"}
ipvs: {{drain_time_s: 4}}
gate: {{settle_s: 1{gate and ", "}{gate}}}
guard: {{enabled: false}}
bgp:
  local_as: {DIRECTOR_AS}
  peers: {peers or usual}
bird:
  control_socket: {director.bird_socket}
  config_path: {director.bird_config}
  include_dir: {folder}/include
director: {{runtime_dir: {folder}/run, state_dir: {folder}/state{daemon and ", "}{daemon}}}
"""


@dataclass
class Serving:
    """Both directors with their daemons, and the services that they read: files, or what ``sources`` says.

    ``settings`` are further lines of their configuration, ``gate`` and ``daemon`` further keys of two of its sections.
    ``peers`` are other BGP sessions than usual, by director.
    """

    lab: Lab
    services: Path
    sources: str = ""
    settings: str = ""
    gate: str = ""
    daemon: str = ""
    peers: Mapping[str, str] = field(default_factory=dict)
    served: Sequence[str] = ()
    daemons: dict[str, Process] = field(default_factory=dict)

    def write(
        self,
        name: str,
        vip: str,
        servers: Iterable[Server] | None = None,
        ports: Sequence[object] = (80,),
        more: Iterable[str] = (),
        **keys: object,
    ) -> None:
        """Say in a file of its own that ``vip`` is served by these servers (default: by all) and by ``more``."""
        backends = [
            str(server.address4 if ":" not in vip else server.address6)
            for server in (self.lab.servers if servers is None else servers)
        ]
        self.write_all(name, [{"name": name, "vip": vip, "ports": list(ports), "backends": [*backends, *more], **keys}])

    def write_all(self, name: str, services: Sequence[Mapping[str, object]]) -> None:
        """Put these services into one file."""
        fresh = self.services / f".{name}.new"
        fresh.write_text(json.dumps({"services": list(services)}))
        fresh.rename(self.services / f"{name}.yaml")

    def start(self, director: Director, *, release: Sequence[str] = (), under: Sequence[str] = ()) -> Process:
        """Start the daemon of a director, and first its BIRD where none runs.

        ``release`` is another program than ours, ``under`` a command that starts it (``env``, ``prlimit``).
        """
        peers = self.peers.get(director.name, "")
        own = daemon_config(director, self.services, self.sources, gate=self.gate, daemon=self.daemon, peers=peers)
        text = own + self.settings
        path = director.write("appliance.yaml", text)
        if not any(process.running for process in director.processes if process.name.endswith("/bird")):
            (director.folder / "include").mkdir(exist_ok=True)
            director.start_bird(render_config(load(path)))
        daemon = director.start_daemon(path.read_text(), release=release, under=under)
        self.daemons[director.name] = daemon
        return daemon

    def status(self, director: Director) -> dict[str, Any]:
        """``balanced status --json`` of a director."""
        socket = director.folder / "run/control.sock"
        answer: dict[str, Any] = json.loads(director.balanced("status", "--json", "--socket", str(socket), check=False))
        return answer

    @property
    def vips(self) -> list[str]:
        """Every VIP to be announced: ``served``, or those to which the files give a backend, by the files' names."""
        if self.served:
            return list(self.served)
        documents = [json.loads(path.read_text()) for path in sorted(self.services.glob("*.yaml"))]
        return [each["vip"] for document in documents for each in document["services"] if each["backends"]]

    def await_passes(self, director: Director, number: int, within_s: float = 40.0) -> None:
        """Wait until the director has looked at its work so many times more."""
        passes = self.asked(director)["passes"]
        wait_until(lambda: self.asked(director)["passes"] >= passes + number, within_s, f"{number} passes more")

    def asked(self, director: Director) -> dict[str, Any]:
        """The same as ``status``, asked for without a process, which takes a second here."""
        answer: Any = ask(director.folder / "run/control.sock", "status")
        assert isinstance(answer, dict)
        return answer

    def repairs(self, director: Director) -> int:
        """How many repairs the gates of a director still count."""
        answer: Any = ask(director.folder / "run/control.sock", "status")
        return sum(vip["recent_repairs"] for vip in answer["vips"])

    @contextmanager
    def no_route_change(self) -> Iterator[None]:
        """Not one BGP UPDATE reaches the router during the block, and no session is lost."""
        before = self.lab.router.sessions()
        yield
        after = self.lab.router.sessions()
        assert after == before, f"a route changed at the router: {before} -> {after}"

    def wait_for(self, vip: str, directors: Iterable[str], within_s: float = STARTED_WITHIN_S) -> None:
        """Wait until the router has routes to ``vip`` through exactly these directors."""
        wanted = set(directors)
        wait_until(lambda: self.lab.router.routes_to(vip) == wanted, within_s, f"routes to {vip} through {wanted}")
