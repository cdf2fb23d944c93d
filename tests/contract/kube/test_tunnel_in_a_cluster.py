"""The tunnel agent as a process, between a real API server, with the rights of its manifest, and a real containerd."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.manifests.tunnel import render_tunnel
from appliance.sources.kubernetes.pods import READY_CONDITION
from tests.contract.kube.test_pods import conditions, running
from tests.contract.runtimes.containerd import Containerd, Sandbox
from tests.kube.api import Api
from tests.kube.cluster import Cluster
from tests.kube.kubeconfig import write_kubeconfig
from tests.kube.objects import resource, resource_of, service

VIP, NODE = "10.50.0.1", "worker1"
WITHIN_S = 30.0
APPLIED = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    with Containerd() as made:
        yield made


@pytest.fixture
def kubeconfig(real_api: Api, cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """That of an account with the rights of the manifest, and no others."""
    name = f"tunnel-{real_api.namespace}"
    text = render_tunnel(
        name, real_api.namespace, image="x", pools=["10.50.0.0/24"], directors=[], priority="system-node-critical"
    )
    for item in yaml.safe_load_all(text):
        if item["kind"] in APPLIED:
            path = resource_of(item).path(item["metadata"].get("namespace"))
            real_api.client.request("POST", path, item).expect(201)
    token = cluster.service_account_token(real_api.namespace, name)
    yield write_kubeconfig(tmp_path / "kubeconfig", cluster.url, token=token, authority=cluster.authority)
    for kind in APPLIED[1:]:
        real_api.client.request("DELETE", resource(kind).path(None, name))


@pytest.fixture
def agent(kubeconfig: Path, containerd: Containerd, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    config = {
        "pools": [{"name": "public", "cidrs": ["10.50.0.0/24"]}],
        "directors": ["10.0.11.0/24"],
        "node": {"name": NODE},
        "kubernetes": {"kubeconfig": str(kubeconfig)},
        "runtimes": {"containerd": str(containerd.socket)},
        "agent": {"runtime_dir": str(tmp_path / "run"), "linger_s": 0},
        "telemetry": {"metrics_port": None, "health_port": None},
    }
    (tmp_path / "tunnel.yaml").write_text(json.dumps(config))
    command = [str(Path(sys.executable).with_name("balanced")), "tunnel", "--config", str(tmp_path / "tunnel.yaml")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    yield process
    process.terminate()
    assert process.wait(20) == 0


def until(condition: Callable[[], Any], log: Path) -> Any:
    deadline_s = time.monotonic() + WITHIN_S
    while not (found := condition()):
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(0.05)
    return found


def endpoints_of(pod: str, namespace: str) -> dict[str, Any]:
    target = {"kind": "Pod", "name": pod, "namespace": namespace}
    address = {"ip": "10.1.0.1", "targetRef": target}
    ports = [{"name": "p80", "port": 80, "protocol": "TCP"}]
    subset = {"notReadyAddresses": [address], "ports": ports}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": namespace},
        "subsets": [subset],
    }


def rules_in(containerd: Containerd, pod: Sandbox) -> str:
    """What nft lists in the namespace of the pod's container."""
    ctr = ["ctr", "-a", str(containerd.socket), "-n", "k8s.io", "task", "ls"]
    tasks = subprocess.run(ctr, capture_output=True, text=True, check=True).stdout.splitlines()
    (pid,) = (line.split()[1] for line in tasks if line.startswith(pod.container))
    enter = ["nsenter", "-t", pid, "-n", "nft", "list", "ruleset"]
    return subprocess.run(enter, capture_output=True, text=True, check=True).stdout


def test_a_pod_is_found_marked_and_told_about(
    real_api: Api, containerd: Containerd, agent: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    """On a kernel without ipip the lock stands, and the condition says which module is missing."""
    pod = containerd.run_pod("web-1")
    real_api.create(service("web", vips=[VIP]))
    real_api.create(endpoints_of("web-1", real_api.namespace))
    real_api.create(running("web-1", NODE, f"containerd://{pod.container}"))
    condition = until(lambda: conditions(real_api, "web-1").get(READY_CONDITION), tmp_path / "log")
    has_tunnels = subprocess.run(["modprobe", "-q", "ipip"], check=False).returncode == 0
    if has_tunnels:
        assert (condition["status"], condition["reason"]) == ("True", "TunnelReady")
        reason = "AddedIPIPTunnelIP"
    else:
        assert (condition["status"], condition["reason"]) == ("False", "TunnelFailed")
        assert "modprobe ipip" in condition["message"]
        reason = "TunnelFailed"

    def told() -> list[str]:
        return [each["reason"] for each in real_api.list("Event")["items"] if each["source"]["host"] == NODE]

    until(lambda: reason in told(), tmp_path / "log")
    assert "saddr != 10.0.11.0/24" in rules_in(containerd, pod)
    real_api.delete("Service", real_api.namespace, "web")
    until(lambda: rules_in(containerd, pod) == "", tmp_path / "log")
    assert agent.poll() is None
