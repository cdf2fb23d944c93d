"""``balanced manifests``: objects on standard output, and nothing but what is checked in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from appliance.cli.main import main
from appliance.config.load import load_ipam
from appliance.errors import ConfigError
from appliance.manifests import render
from appliance.manifests.render import render_director


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["manifests", *arguments])
    return int(caught.value.code or 0)


def objects(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def test_the_director_gets_an_account_a_role_and_their_binding(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("director", "--namespace", "balanced") == 0
    account, role, binding = objects(capsys.readouterr().out)
    assert account["metadata"] == {"name": "balanced-director", "namespace": "balanced"}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": account["kind"], **account["metadata"]}]


def test_the_role_holds_exactly_what_is_needed() -> None:
    """A right more is a right that somebody else can use."""
    _, role, _ = objects(render_director("balanced-director", "kube-system"))
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["services", "endpoints"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    ]


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", "A", "a b", "a\n---", "a: b", "a" * 64, "1", "1e5", "0x1f", "no", "ä"]
)
def test_what_is_no_name_is_refused_with_the_place(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("director", "--namespace", text) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("--namespace: ")


@given(st.text(alphabet="aeox01-_.nyY\n:#", max_size=6) | st.text(max_size=6))
def test_a_name_comes_back_as_that_name_or_is_refused(text: str) -> None:
    """Whatever YAML makes of it: a number, a boolean, a date, another document."""
    try:
        account, *_ = objects(render_director("balanced-director", text))
    except ConfigError:
        return
    assert account["metadata"]["namespace"] == text


@pytest.mark.parametrize("value", [7, "plain text", None, ["a"]])
def test_a_template_cannot_print_what_nothing_has_checked(value: object) -> None:
    template = render._TEMPLATES.from_string("name: {{ value }}")
    with pytest.raises(TypeError, match="which nothing has checked"):
        template.render(value=value)


def test_the_same_values_give_the_same_bytes() -> None:
    """I6."""
    make: Callable[[], str] = lambda: render_director("lb", "net")  # noqa: E731 - said twice below
    assert make() == make()


def ipam(*arguments: str) -> int:
    return run("ipam", "--image", "registry.example.com/balanced:0.1.0", *arguments)


def test_the_allocators_run_twice_with_a_configuration_that_is_correct(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And with the account, the Lease and the ports that the configuration names."""
    assert ipam("--pool", "10.50.0.0/24", "--pool", "2001:db8:50::1-2001:db8:50::ff") == 0
    found = {each["kind"]: each for each in objects(capsys.readouterr().out)}
    path = tmp_path / "ipam.yaml"
    path.write_text(found["ConfigMap"]["data"]["ipam.yaml"])
    config = load_ipam(path)
    assert [str(each) for each in config.pools[0].addresses] == ["10.50.0.0/24", "2001:db8:50::1-2001:db8:50::ff"]
    spec = found["Deployment"]["spec"]
    assert spec["replicas"] == 2
    (container,) = spec["template"]["spec"]["containers"]
    assert {each["containerPort"] for each in container["ports"]} == {config.metrics_port, config.health_port}
    assert container["command"][-1] == "/etc/balanced/ipam.yaml"
    assert found["Role"]["rules"][1]["resourceNames"] == [config.lease.name]
    assert found["Role"]["metadata"]["namespace"] == config.lease.namespace


@pytest.mark.parametrize("asked", [True, False])
def test_namespaces_may_be_read_only_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str],
    asked: bool,  # noqa: FBT001 - a column
) -> None:
    assert ipam("--pool", "10.50.0.0/24", *(["--namespace-labels"] if asked else [])) == 0
    (role,) = (each for each in objects(capsys.readouterr().out) if each["kind"] == "ClusterRole")
    rules = [rule["verbs"] for rule in role["rules"] if "namespaces" in rule["resources"]]
    assert rules == ([["list", "watch"]] if asked else [])


@pytest.mark.parametrize("pool", ["", "10.50.0.1/24", "x", "10.0.0.1-y", '"]\nipam: {}', "fe80::1%a-fe80::2%a"])
def test_a_pool_that_is_none_is_refused(pool: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ipam("--pool", pool) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("--pool: ")
