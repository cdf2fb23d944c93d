"""A pod as an API server sends it: which container speaks for it, and who is to be left alone."""

from typing import Any

import msgspec
import pytest

from appliance.model.pod import Pod
from appliance.sources.kubernetes.pods import READY_CONDITION, read_pod
from appliance.tunnel.place import names_container

RUNNING, WAITING = {"running": {"startedAt": "2026-01-02T12:00:00Z"}}, {"waiting": {"reason": "PodInitializing"}}


def read(metadata: dict[str, Any] | None = None, **parts: Any) -> Pod:
    text = msgspec.json.encode({"metadata": {"name": "web-1", "namespace": "shop", **(metadata or {})}, **parts})
    found = read_pod(msgspec.Raw(text))
    assert found is not None
    return found


def container(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "containerID": f"containerd://{name}", "state": state}


@pytest.mark.parametrize(
    ("ordinary", "init", "found"),
    [
        pytest.param([("a", RUNNING), ("b", RUNNING)], [], "containerd://a", id="the first that runs"),
        pytest.param([("a", WAITING), ("b", RUNNING)], [("i", RUNNING)], "containerd://b", id="ordinary before init"),
        pytest.param([("a", WAITING)], [("i", RUNNING)], "containerd://i", id="an init container"),
        pytest.param([("a", WAITING)], [], "", id="none runs"),
        pytest.param([], [], "", id="none is there"),
    ],
)
def test_the_container_that_speaks_for_a_pod(
    ordinary: list[tuple[str, dict[str, Any]]], init: list[tuple[str, dict[str, Any]]], found: str
) -> None:
    status = {
        "containerStatuses": [container(*each) for each in ordinary],
        "initContainerStatuses": [container(*each) for each in init],
    }
    assert read(status=status).container == found


@pytest.mark.parametrize(
    ("annotations", "ignored_by"),
    [
        ({"balanced.demonware.net/tunnel-ignore": "true"}, "balanced.demonware.net/tunnel-ignore"),
        ({"ipvs-tunnel-controller.demonware.net/ignore": ""}, "ipvs-tunnel-controller.demonware.net/ignore"),
        ({"balanced.demonware.net/tunnel-ignore": "False"}, ""),
        ({"other": "true"}, ""),
    ],
)
def test_an_annotation_says_whom_to_leave_alone(annotations: dict[str, str], ignored_by: str) -> None:
    assert read({"annotations": annotations}).ignored_by == ignored_by


def test_gate_condition_and_network_are_read() -> None:
    said = {"type": READY_CONDITION, "status": "False", "reason": "TunnelFailed"}
    found = read(
        {"uid": "u", "resourceVersion": "7"},
        spec={"hostNetwork": True, "readinessGates": [{"conditionType": READY_CONDITION}]},
        status={"conditions": [{"type": "Ready", "status": "True"}, said]},
    )
    assert (found.has_gate, found.condition, found.condition_reason) == (True, False, "TunnelFailed")
    assert (found.host_network, found.uid, found.version) == (True, "u", "7")


@pytest.mark.parametrize("text", [b"", b"[]", b'{"metadata": {}}', b'{"metadata": {"name": "a"}, "status": 7}'])
def test_what_is_no_pod_is_none(text: bytes) -> None:
    assert read_pod(msgspec.Raw(text)) is None


@pytest.mark.parametrize(
    ("groups", "named"),
    [
        (f"0::/kubepods.slice/kubepods-pod12.slice/cri-containerd-{'a' * 64}.scope\n", True),
        (f"5:devices:/k8s.io/{'0f' * 32}\n4:memory:/\n", True),
        (f"0::/docker/{'b' * 64}\n", True),
        ("0::/system.slice/ssh.service\n", False),
        (f"0::/user.slice/{'g' * 64}\n", False),
        ("", False),
    ],
)
def test_control_groups_name_a_container_or_none(groups: str, named: bool) -> None:  # noqa: FBT001 - a column of a table
    assert names_container(groups) == named
