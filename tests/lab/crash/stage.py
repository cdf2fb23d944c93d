"""The node on which a director dies: set as it was before, and looked at from outside."""

import json
import shutil
import signal
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from appliance.bird.render import render_config
from appliance.cli.client import ask
from appliance.config.load import load
from appliance.errors import ControlError
from appliance.telemetry.messages import RELOADED
from tests.lab.crash.plans import Document, Plan, amiss, table_for, vips_of
from tests.lab.crash.toll import READING, Toll
from tests.lab.hosts import wait_until
from tests.lab.offspring import Offspring, fork
from tests.lab.topology import DIRECTOR_AS, POOL4, POOL6, ROUTER_AS, Director
from tests.lab.witness import LINK, Standing, Table, addresses_of, exported, has_route, local, table_of

FOREIGN_SERVICE, FOREIGN_NETWORK, FOREIGN_ADDRESS = "-t 192.0.2.9:80", "192.0.2.0/24", "192.0.2.9"
FOREIGN = {FOREIGN_SERVICE: Standing("-s wlc")}
WITHIN_S = 30.0
_KEPT = ("include", "run", "state")


@dataclass(frozen=True)
class Scene:
    """Everything that a director leaves behind."""

    table: dict[str, Standing]
    saved: str
    addresses: frozenset[str]
    exported: frozenset[str]
    files: Path


class Stage:
    """One director's node in the lab."""

    def __init__(self, director: Director) -> None:
        self.director = director
        self.folder = director.folder
        self._config = director.write("appliance.yaml", _config(director))
        self.born: list[Offspring] = []
        self._services = self.folder / "services"
        for name in (*_KEPT, "services"):
            (self.folder / name).mkdir()
        director.write(
            "include/foreign.conf", f"protocol static foreign {{ ipv4; route {FOREIGN_NETWORK} blackhole; }}\n"
        )
        director.start_bird(render_config(load(self._config)))
        director.run(["ipvsadm", *f"-A {FOREIGN_SERVICE} -s wlc".split()])

    def want(self, documents: Collection[Document]) -> None:
        """Write down that exactly these services are wanted; for nobody who reads now."""
        for path in self._services.iterdir():
            path.unlink()
        for document in documents:
            (self._services / f"{document['name']}.yaml").write_text(json.dumps(document))

    def start(self, fatal: int = 0) -> Offspring:
        """A director that dies with its ``fatal``-th effect."""
        log = self.folder / f"director-{len(self.born)}.log"
        director = fork(self.director, self._config, log, Toll(fatal).impose)
        self.born.append(director)
        return director

    def keep(self) -> Scene:
        """Take down what stands."""
        files = self.folder / f"scene-{len(self.born)}"
        for name in _KEPT:
            shutil.copytree(self.folder / name, files / name, ignore=shutil.ignore_patterns("*.sock"))
        saved = self.director.run(["ipvsadm", "-Sn"])
        return Scene(table_of(self.director), saved, addresses_of(self.director), exported(self.director), files)

    def restore(self, scene: Scene) -> None:
        """Set everything as it was."""
        self.director.run(["ipvsadm", "-C"])
        self.director.run(["ipvsadm", "-R"], stdin=_in_order_of_making(scene.saved))
        self.director.run(["ip", "link", "del", LINK], check=False)
        if scene.addresses:
            self.put_on_link(*scene.addresses, make=True)
        for name in _KEPT:
            shutil.rmtree(self.folder / name)
            shutil.copytree(scene.files / name, self.folder / name)
        self.director.birdc("configure")
        wait_until(lambda: exported(self.director) == scene.exported, WITHIN_S, f"BIRD to tell {scene.exported}")

    def put_on_link(self, *addresses: str, make: bool = False) -> None:
        """Put addresses on the link with the VIPs."""
        made = (f"link add {LINK} type dummy", f"link set {LINK} up") if make else ()
        self.director.ip(*made, *(f"addr add {address} dev {LINK}" for address in addresses))

    def check(self, plan: Plan) -> dict[str, Standing]:
        """No VIP is announced that is not whole: one that is told before and after all else was read (I1, I2).

        Returns the table.
        """
        before = exported(self.director)
        table, own = table_of(self.director), local(self.director, before)
        for vip in before & exported(self.director):
            reasons = amiss(vip, plan, table, own)
            assert not reasons, f"{vip} is announced although {reasons}; the table: {table}"
        self.check_foreign(table)
        return table

    def check_foreign(self, table: dict[str, Standing]) -> None:
        """What is not ours stands as it stood (I5)."""
        assert table[FOREIGN_SERVICE] == FOREIGN[FOREIGN_SERVICE]
        assert has_route(self.director, FOREIGN_NETWORK), "the foreign BIRD protocol is gone"

    def settle(self, director: Offspring, plan: Plan, others: Collection[str] = ()) -> None:
        """Wait until everything stands as it should and stays so, and check all the while.

        ``others`` are the addresses of others on the link.
        """
        lacking: list[str] = []

        def settled() -> bool:
            assert director.running, "the director has ended"
            table = self.check(plan)
            lacking[:] = self._lacking(plan, table)
            return not lacking and READING in director.text()

        try:
            wait_until(settled, WITHIN_S, "everything to stand as it should")
            assert addresses_of(self.director) == vips_of(plan.after) | set(others)
        except AssertionError as error:
            error.add_note(f"not as it should be: {lacking}\nthe director said:\n{director.text()}")
            raise

    def _lacking(self, plan: Plan, table: Table) -> list[str]:
        vips = vips_of(plan.after)
        pairs = (
            ("the table", _unordered(table), _unordered(table_for(plan.after) | FOREIGN)),
            ("addresses", local(self.director, vips_of((*plan.before, *plan.after))), vips),
            ("announced", exported(self.director), vips),
            ("unconfirmed", "undo" in self.director.birdc("configure status"), False),
        )
        return [f"{what}: {have} instead of {want}" for what, have, want in pairs if have != want]

    def compare_anew(self, director: Offspring) -> None:
        """Have it take its configuration anew, by which all is compared with nothing remembered, and wait for that."""
        director.signal(signal.SIGHUP)

        def compared() -> bool:
            _, reloaded, since = director.text().rpartition(RELOADED.text)
            return bool(reloaded) and READING in since and self._passes() > 0

        wait_until(compared, WITHIN_S, "a full comparison")

    def _passes(self) -> int:
        try:
            status = ask(self.folder / "run/control.sock", "status")
        except ControlError:
            return 0
        assert isinstance(status, dict)
        return int(status["passes"])


def _unordered(table: Table) -> dict[str, tuple[str, frozenset[tuple[str, int]]]]:
    return {name: (each.scheduling, frozenset(each.destinations)) for name, each in table.items()}


def _in_order_of_making(saved: str) -> str:
    """The table with destinations in the order in which the kernel got them: it puts each one first."""
    services: list[list[str]] = []
    for line in saved.splitlines():
        if line.startswith("-A"):
            services.append([])
        services[-1].append(line)
    return "\n".join(line for head, *destinations in services for line in (head, *reversed(destinations))) + "\n"


def _config(director: Director) -> str:
    link, folder = director.link, director.folder
    return f"""\
node: {{name: {director.name}, router_id: {link.host4}, uplinks: [eth0]}}
pools:
  - {{name: lab, cidrs: ["{POOL4}", "{POOL6}"]}}
sources: {{file: {{path: {folder}/services}}}}
ipvs: {{drain_time_s: 1}}
guard: {{enabled: false}}
gate: {{settle_s: 0.3, proof_interval_s: 0.05, damping: {{free_flaps: 1000}}}}
bgp:
  local_as: {DIRECTOR_AS}
  peers:
    - {{name: router, address: {link.router4}, as: {ROUTER_AS}}}
    - {{name: router_v6, address: "{link.router6}", as: {ROUTER_AS}}}
bird:
  control_socket: {director.bird_socket}
  config_path: {director.bird_config}
  include_dir: {folder}/include
  min_reconfigure_interval_s: 0
director: {{runtime_dir: {folder}/run, state_dir: {folder}/state, resync_s: 0.5, canary_s: 0.5}}
"""
