"""``balanced manifests tunnel``: rights, configuration and DaemonSet of the agents, and nothing that is not checked."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.cli.main import main
from appliance.config.load import load_tunnel
from appliance.errors import ConfigError
from appliance.manifests.tunnel import render_tunnel

USUAL = ("--image", "registry.example.com:5000/balanced:0.1.0", "--pool", "10.50.0.0/24", "--pool", "2001:db8:50::/64")


def made(*arguments: str, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """The objects by their kind."""
    with pytest.raises(SystemExit) as ended:
        main(["manifests", "tunnel", *USUAL, *arguments])
    assert ended.value.code == 0
    return {each["kind"]: each for each in yaml.safe_load_all(capsys.readouterr().out)}


def test_the_role_holds_exactly_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """A right more is a right that somebody else can use."""
    read = ["get", "list", "watch"]
    assert made(capsys=capsys)["ClusterRole"]["rules"] == [
        {"apiGroups": [""], "resources": ["services", "endpoints"], "verbs": read},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": read},
        {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]},
    ]


def test_the_configuration_is_one_that_the_agent_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = made("--director", "10.0.11.0/24", capsys=capsys)
    (tmp_path / "tunnel.yaml").write_text(found["ConfigMap"]["data"]["tunnel.yaml"])
    config = load_tunnel(tmp_path / "tunnel.yaml")
    assert [str(each) for each in config.networks] == ["10.50.0.0/24", "2001:db8:50::/64"]
    assert [str(each) for each in config.lock or ()] == ["10.0.11.0/24"]
    mounts = found["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert any(str(config.runtimes.containerd).startswith(mount["mountPath"]) for mount in mounts)


def test_an_agent_runs_on_each_node_with_no_more_than_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    pod = made(capsys=capsys)["DaemonSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"],
    }
    assert pod["hostPID"]
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert container["env"][0]["name"] == "BALANCED_NODE"


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"image": "a b"}, "--image"),
        ({"image": "a\n- evil: true"}, "--image"),
        ({"pools": ["10.50.0.1/24"]}, "--pool"),
        ({"directors": ['10.0.0.0/8", evil']}, "--director"),
        ({"priority": "no"}, "--priority-class"),
        ({"name": "A"}, "--name"),
    ],
)
def test_what_cannot_stand_in_a_manifest_is_refused_with_its_place(changed: dict[str, Any], place: str) -> None:
    usual = {"image": "a/b:1", "pools": ["10.50.0.0/24"], "directors": [], "priority": "p", "name": "agents"}
    values = {**usual, **changed}
    name = values.pop("name")
    with pytest.raises(ConfigError, match=f"^{place}: "):
        render_tunnel(name, "kube-system", **values)
