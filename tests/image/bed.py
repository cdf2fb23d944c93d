"""Two directors and what is beyond them, as three machines with cables between them, and the playbooks run on them."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from image.qemu import Link, Node, booted
from tests.image.farside import (
    CLIENT,
    CLOSED_VIPS,
    DEADLINE_S,
    DIRECTOR_AS,
    DIRECTORS,
    MTU_BYTES,
    PORTS,
    ROUTER_AS,
    SERVERS,
    UPLINK,
    UPLINK_SLOT,
    VIPS,
    FarSide,
    address,
    slot,
    wait_until,
)

ROOT = Path(__file__).parents[2]
# Three at once.
BOOT_WITHIN_S = 1500.0


@dataclass(frozen=True, slots=True)
class Play:
    """How a playbook ended: its exit status, what it did on each host by kind (ok, changed, failed), and its output."""

    status: int
    recap: dict[str, dict[str, int]]
    output: str


@dataclass(frozen=True, slots=True)
class Bed:
    """The three machines. ``folder`` holds the inventory."""

    directors: dict[str, Node]
    far: FarSide
    folder: Path

    def play(self, playbook: str, *options: str, **variables: object) -> Play:
        """Run a playbook of ours over the inventory; ``variables`` go before those of the inventory."""
        with self.playing(playbook, *options, **variables) as process:
            output, _ = process.communicate()
        return Play(process.returncode, _recap(output), output)

    @contextmanager
    def playing(self, playbook: str, *options: str, **variables: object) -> "Iterator[subprocess.Popen[str]]":
        """A playbook that runs; killed at the end if it still does."""
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("--inventory", str(self.folder / "hosts.json"), "--extra-vars", json.dumps(variables)),
            *(f"ansible/{playbook}", *options),
        ]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        environment["ANSIBLE_LOG_PATH"] = str(self.folder / "ansible.log")
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                # With the workers that it has started.
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def balanced(self, director: str, words: str) -> Any:
        """What ``balanced ... --json`` says on a director, be it well or not."""
        return json.loads(self.directors[director].tell(f"balanced {words} --json || true"))

    def announced(self, vip: str, *directors: str, within_s: float = DEADLINE_S) -> float:
        """Wait until the router sends packets for this VIP to these directors and no other; the seconds it took."""
        began = time.monotonic()
        wait_until(lambda: self.far.routes_to(vip) == set(directors), f"{vip} by {directors}", within_s)
        return time.monotonic() - began


@contextmanager
def bed(disk: Path, wheelhouse: Path) -> Iterator[Bed]:
    """Three machines that have booted this disk, with links between them; the directors are not provisioned yet.

    Raises:
        TimeoutError: one of them does not boot.
    """
    with ExitStack() as stack, ThreadPoolExecutor() as workers:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="balanced-bed-")))
        near = [(_link(folder, name, at_router=False),) for name in DIRECTORS]
        far_ends = tuple(_link(folder, name, at_router=True) for name in DIRECTORS)
        boot = partial(booted, disk, "bios", within_s=BOOT_WITHIN_S)
        nodes = list(workers.map(lambda links: stack.enter_context(boot(links=links)), [*near, far_ends]))
        directors = dict(zip(DIRECTORS, nodes[:-1], strict=True))
        far = FarSide(nodes[-1])
        list(workers.map(lambda act: act(), [far.prepare, *(_uplink(name, node) for name, node in directors.items())]))
        (folder / "hosts.json").write_text(json.dumps(inventory(directors, wheelhouse)))
        yield Bed(directors, far, folder)


def _link(folder: Path, director: str, *, at_router: bool) -> Link:
    near, far = folder / f"{director}.socket", folder / f"{director}-router.socket"
    mac = f"52:54:00:60:0{DIRECTORS[director]}:0{1 if at_router else 2}"
    here, there = (far, near) if at_router else (near, far)
    return Link(here, there, slot(director) if at_router else UPLINK_SLOT, mac, MTU_BYTES)


def _uplink(name: str, node: Node) -> Callable[[], str]:
    """What there is before any playbook: the node's address, the way to everything else, and time to start."""
    link = DIRECTORS[name]
    routes = "".join(
        f"[Route]\nDestination={net}\nGateway={address(version, link, 1)}\n"
        for version, net in ((4, "10.60.0.0/16"), (6, "2001:db8:60::/48"))
    )
    text = (
        f"[Match]\nName={UPLINK}\n[Link]\nMTUBytes={MTU_BYTES}\n[Network]\nIPv6AcceptRA=no\n"
        f"Address={address(4, link)}/24\nAddress={address(6, link)}/64\n{routes}"
    )
    script = f"""\
cat >/etc/systemd/network/10-uplink.network <<'END'
{text}END
networkctl reload
mkdir -p /etc/systemd/system/balanced-director.service.d
cat >/etc/systemd/system/balanced-director.service.d/90-emulated.conf <<'END'
# The unit's times are for a real processor: to import the program takes half a minute here.
[Service]
TimeoutStartSec=300
WatchdogSec=120
END
# All packages are there, and no archive may be in reach: the lists of what there is count as fresh.
touch /var/lib/apt/lists
"""
    return lambda: node.tell(script)


def inventory(directors: dict[str, Node], wheelhouse: Path) -> dict[str, Any]:
    """As ansible/inventory/example, for these machines."""
    hosts = {
        name: {
            "ansible_host": "127.0.0.1",
            "ansible_port": node.machine.ssh_port,
            "ansible_ssh_private_key_file": str(node.machine.folder / "key"),
            "bed_link": DIRECTORS[name],
        }
        for name, node in directors.items()
    }
    common = {
        "ansible_user": "root",
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        "appliance_wheelhouse": str(wheelhouse),
        "base_hostname": "{{ inventory_hostname }}",
        "hardening_bgp_sources": ["10.60.0.0/16", "2001:db8:60::/48"],
        "hardening_metrics_sources": ["10.60.0.0/16"],
        "appliance_config": configuration(),
        "appliance_services": {"web.yaml": services()},
    }
    return {"all": {"children": {"directors": {"hosts": hosts}, "workers": {"hosts": {}}}, "vars": common}}


def configuration(**bgp: object) -> dict[str, Any]:
    """Content of appliance.yaml, Ansible's templates where nodes differ; ``bgp`` are other values of its section."""
    peers = [
        {"name": "router4", "address": "10.60.{{ bed_link }}.1", "as": ROUTER_AS, "bfd": False},
        {"name": "router6", "address": "2001:db8:60:{{ bed_link }}::1", "as": ROUTER_AS, "bfd": False},
    ]
    return {
        "node": {"name": "{{ inventory_hostname }}", "router_id": "10.60.{{ bed_link }}.2", "uplinks": [UPLINK]},
        "pools": [{"name": "public", "cidrs": ["10.50.0.0/24", "2001:db8:50::/64"]}],
        "sources": {"file": {"path": "services"}},
        "bgp": {"local_as": DIRECTOR_AS, "peers": peers, **bgp},
    }


def services() -> dict[str, Any]:
    """One service for everybody and one for the client's second address, each on a VIP of either IP version."""
    backends = [address(version, link) for link in SERVERS.values() for version in (4, 6)]
    friends = [f"{address(4, CLIENT, 3)}/32", f"{address(6, CLIENT, 3)}/128"]
    return {
        "services": [
            {"name": "web", "vip": list(VIPS), "ports": list(PORTS), "backends": backends},
            {"name": "office", "vip": list(CLOSED_VIPS), "ports": [80], "backends": backends, "source_ranges": friends},
        ]
    }


def _recap(output: str) -> dict[str, dict[str, int]]:
    """The last lines of a play, the only form in which ansible-core says them without a plug-in."""
    lines = re.findall(r"^(\w+) +: (ok=.*)$", output, flags=re.MULTILINE)
    return {host: {kind: int(count) for kind, count in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in lines}
