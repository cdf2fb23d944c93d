"""``balanced ipam report`` and ``plan``, of Services in files."""

import json
from pathlib import Path

import pytest

from appliance.cli.main import main

SERVICES = """\
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Service
    metadata: {name: old, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
    spec: {type: LoadBalancer, ports: [{port: 80}]}
    status: {loadBalancer: {ingress: [{ip: 10.50.0.1}]}}
  - apiVersion: v1
    kind: Service
    metadata: {name: new, namespace: mail, creationTimestamp: "2026-02-01T00:00:00Z"}
    spec: {type: LoadBalancer, ports: [{port: 25}]}
---
apiVersion: v1
kind: Service
metadata:
  name: lost
  namespace: mail
  annotations: {balanced.demonware.net/ip-pool: none}
spec: {type: LoadBalancer, ports: [{port: 25}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
"""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    config, services = tmp_path / "ipam.yaml", tmp_path / "services.yaml"
    config.write_text("ipam: {pools: [{name: public, addresses: [10.50.0.0/29, '2001:db8::/64']}]}\n")
    services.write_text(SERVICES)
    return ["--config", str(config), "--file", str(services)]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["ipam", *arguments])
    return int(caught.value.code or 0)


def test_the_report_tells_how_full_each_range_is_and_who_lacks_what(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("report", *files) == 0
    assert capsys.readouterr().out == (
        "POOL    RANGE          USED  FREE                  NAMESPACES\n"
        "public  10.50.0.0/29   1     6                     shop 1\n"
        "public  2001:db8::/64  0     18446744073709551615  -\n"
        "\n"
        "! mail/lost: no_pool: there is no pool none (name a pool in ip-pool, or leave it out)\n"
    )


def test_the_plan_tells_who_gets_what(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", *files) == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "SERVICE   HAS  GETS",
        "mail/new  -    10.50.0.2",
        "",
    ]


def test_both_speak_json(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "--json", *files) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["changes"] == [{"service": "mail/new", "before": [], "after": ["10.50.0.2"]}]
    assert run("report", "--json", *files) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ranges"][0] | {"namespaces": {}} == {
        "pool": "public",
        "range": "10.50.0.0/29",
        "size": 7,
        "used": 1,
        "free": 6,
        "namespaces": {},
    }


def test_a_file_that_is_no_manifest_is_told(
    tmp_path: Path, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: Service\nmetadata: {name: [a]}\n")
    assert run("plan", *files, "--file", str(bad)) == 1
    assert f"{bad}: a Service that is none" in capsys.readouterr().err


@pytest.mark.parametrize(("label", "given"), [("web", "10.50.0.1"), ("mail", "-")])
def test_labels_of_namespaces_are_read_from_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], label: str, given: str
) -> None:
    """As kubectl get services,namespaces -A -o yaml writes them: in one list, whichever comes first."""
    config, objects = tmp_path / "ipam.yaml", tmp_path / "objects.yaml"
    config.write_text("ipam: {pools: [{name: a, addresses: [10.50.0.0/24], namespace_selector: team=web}]}\n")
    objects.write_text(
        "kind: List\nitems:\n"
        "- {kind: Service, metadata: {name: web, namespace: shop}, spec: {type: LoadBalancer, ports: [{port: 80}]}}\n"
        f"- {{kind: Namespace, metadata: {{name: shop, labels: {{team: {label}}}}}}}\n"
    )
    assert run("plan", "--config", str(config), "--file", str(objects)) == 0
    told = capsys.readouterr().out
    assert ("10.50.0.1" in told, "no_pool" in told) == (given != "-", given == "-")


def test_a_configuration_without_pools_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ipam.yaml"
    path.write_text("ipam: {}\n")
    assert run("report", "--config", str(path)) == 2
    assert f"{path}:1: ipam.pools: is missing" in capsys.readouterr().err


def test_the_configuration_may_be_named_before_the_subcommand(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config, services = files[:2], files[2:]
    assert run(*config, "plan", *services) == 0
    assert "mail/new" in capsys.readouterr().out
