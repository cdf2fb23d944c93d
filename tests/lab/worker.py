"""A worker of a cluster in the lab: real servers as its pods, a tunnel agent, and the API server and runtime it asks.

All of them but the pods are in the lab's own network, where nothing else is.
"""

import contextlib
import itertools
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.fakes.cri import FakeCri
from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.objects import Object, endpoint_slice, pod, service
from tests.lab.hosts import Host, Process, wait_until
from tests.lab.serving import Serving
from tests.lab.topology import POOL4, POOL6, ROUTER_AS, Lab, Server, connect

TREE = Path(__file__).resolve().parent.parent.parent
NODE = "worker1"
CONDITION = "balanced.demonware.net/tunnel-ready"
DIRECTORS = ("10.0.11.0/24", "2001:db8:0:11::/64")
LINGER_S = 1.0
# The agent starts in seconds in the lab kernel, and shares its processor with everything else.
SOON_S = 90.0
DEVICES = {4: "tunl0", 6: "ip6tnl0"}


class Worker:
    """The worker. Pods are real servers of the lab, named as they are."""

    def __init__(self, lab: Lab, folder: Path, api: Api, runtime: FakeCri) -> None:
        self.lab, self.api, self.runtime = lab, api, runtime
        self.agent: Process | None = None
        self._folder = folder
        self._numbers = itertools.count(1)
        self._slices: dict[str, Object] = {}

    def start(self) -> Process:
        """Start the agent."""
        config = {
            "pools": [{"name": "lab", "cidrs": [POOL4, POOL6]}],
            "directors": list(DIRECTORS),
            "node": {"name": NODE},
            "kubernetes": {"kubeconfig": str(self.api.kubeconfig()), "max_retry_s": 1},
            "runtimes": {"containerd": str(self._folder / "containerd.sock")},
            "agent": {"resync_s": 2, "linger_s": LINGER_S, "runtime_dir": str(self._folder / "run")},
            "telemetry": {"metrics_port": None, "health_port": None},
        }
        path = self._folder / "tunnel.yaml"
        path.write_text(json.dumps(config))
        log = self._folder / "tunnel.log"
        command = [str(TREE / ".venv/bin/balanced"), "tunnel", "--config", str(path)]
        with log.open("ab") as output:
            popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        self.agent = Process("worker/tunnel", popen, log)
        # So that its log is shown where a test fails.
        self.lab.client.processes.append(self.agent)
        return self.agent

    def run_pod(self, server: Server, process: Process, **annotations: str) -> None:
        """The pod runs, with this process in its container, as its kubelet reports it."""
        container = f"{next(self._numbers):064x}"
        self.runtime.pids[container] = process.popen.pid
        wanted = pod(server.name, NODE)
        wanted["metadata"]["annotations"] = annotations
        wanted["spec"]["readinessGates"] = [{"conditionType": CONDITION}]
        state = {"name": "main", "containerID": f"containerd://{container}", "state": {"running": {}}}
        wanted["status"] = {"phase": "Running", "containerStatuses": [state]}
        if any(each["metadata"]["name"] == server.name for each in self.api.list("Pod")["items"]):
            self.api.patch(wanted, {"status": wanted["status"]}, status=True)
        else:
            self.api.create(wanted)

    def serve(
        self, name: str, vip: str, servers: Iterable[Server], annotations: Mapping[str, str] | None = None
    ) -> None:
        """A Service with this VIP that has these pods as endpoints, not ready yet."""
        version = 6 if ":" in vip else 4
        self.api.create(service(name, vips=[vip], annotations=annotations))
        self._slices[name] = endpoint_slice(
            name, [_endpoint(server, version) for server in servers], address_type=f"IPv{version}"
        )
        self.api.create(self._slices[name])

    def no_longer(self, name: str) -> None:
        """Take a Service away, with its endpoints."""
        self.api.delete("Service", self.api.namespace, name)
        self.api.delete("EndpointSlice", self.api.namespace, f"{name}-1")

    def condition(self, server: Server) -> Mapping[str, Any]:
        """What the pod's condition says; nothing where there is none."""
        found = self.api.get("Pod", server.name)["status"].get("conditions", [])
        return next((each for each in found if each["type"] == CONDITION), {})

    def await_ready(self, server: Server, within_s: float = SOON_S) -> None:
        """Wait until the pod says that its VIPs stand."""
        wait_until(
            lambda: self.condition(server).get("status") == "True", within_s, f"{server.name} to be tunnel-ready"
        )

    def await_vips(self, host: Host, *vips: str, within_s: float = SOON_S) -> None:
        """Wait until exactly these stand on a pod's tunnel devices."""
        wait_until(lambda: vips_on(host) == set(vips), within_s, f"{host.name} to have {vips}")

    def events(self, server: Server) -> set[str]:
        """Reasons of the Events on the pod."""
        events = self.api.list("Event")["items"]
        about = (each for each in events if each["involvedObject"]["name"] == server.name)
        return {each["reason"] for each in about if each["involvedObject"]["kind"] == "Pod"}


def serving_without_bfd(lab: Lab) -> Serving:
    """The first director, ready to be started, with sessions that hold while a namespace is deleted.

    That holds up the lab's kernel for longer than BFD waits.
    """
    link = lab.directors[0].link
    peers = (
        f"[{{name: router, address: {link.router4}, as: {ROUTER_AS}, bfd: false}}, "
        f'{{name: router_v6, address: "{link.router6}", as: {ROUTER_AS}, bfd: false}}]'
    )
    return Serving(lab, lab.client.folder, peers={lab.directors[0].name: peers})


def vips_on(host: Host) -> set[str]:
    """The one-host addresses on the tunnel devices."""
    shown = [each for device in DEVICES.values() for each in host.ip_json("addr", "show", "dev", device)]
    found = (address for each in shown for address in each["addr_info"])
    return {each["local"] for each in found if each["prefixlen"] in (32, 128)}


def bare(server: Server) -> None:
    """The server as a pod is when it begins: tunnel devices down, and the strict filter that many systems have."""
    server.ip("link set tunl0 down", "link set ip6tnl0 down")
    server.sysctl("net.ipv4.conf.all.rp_filter", 1)


def sandbox_anew(lab: Lab, server: Server) -> Process:
    """The pod's sandbox is made anew, with a namespace of its own under the same address; returns its server."""
    vanish(server)
    server.prepare()
    wait_until(lambda: not _has_link(lab, server.name), 10, "the old link to be gone")
    connect(server, lab.router)
    bare(server)
    return server.start_service()


def vanish(server: Server) -> None:
    """Everything in the pod ends, and its namespace with it; under its name there is an empty one."""
    for process in server.processes:
        process.kill()
    server.processes.clear()
    subprocess.run(["ip", "netns", "delete", server.name], check=True)
    # The folder stays, for its logs.
    subprocess.run(["ip", "netns", "add", server.name], check=True)


def _has_link(lab: Lab, name: str) -> bool:
    return any(each["ifname"] == name for each in lab.router.ip_json("link", "show"))


def _endpoint(server: Server, version: int) -> Object:
    address = server.address4 if version == 4 else server.address6
    target = {"kind": "Pod", "name": server.name}
    return {"addresses": [str(address)], "conditions": {"ready": False}, "targetRef": target}


@contextlib.contextmanager
def build_worker(lab: Lab, folder: Path) -> Iterator[Worker]:
    """A worker with its agent running, and no pod yet."""
    folder.mkdir(parents=True, exist_ok=True)
    with FakeCri(folder / "containerd.sock") as runtime, Double() as server:
        worker = Worker(lab, folder, Api(server, "shop"), runtime)
        try:
            yield worker
        finally:
            if worker.agent is not None and worker.agent.running:
                worker.agent.kill()
