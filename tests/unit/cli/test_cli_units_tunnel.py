"""``balanced units --role tunnel``: what a worker outside of Kubernetes needs."""

from pathlib import Path

import pytest

from appliance.cli.main import main

CONFIG = "pools: [{name: public, cidrs: [10.50.0.0/24]}]\ndirectors: [10.0.11.0/24]\n"


def unit(folder: Path, *arguments: str) -> str:
    (folder / "tunnel.yaml").write_text(CONFIG)
    with pytest.raises(SystemExit) as ended:
        main(["units", str(folder), "--role", "tunnel", "--config", str(folder / "tunnel.yaml"), *arguments])
    assert ended.value.code == 0
    return (folder / "etc/systemd/system/balanced-tunnel.service").read_text()


def test_the_agent_gets_its_unit_and_its_modules(tmp_path: Path) -> None:
    text = unit(tmp_path, "--command", "/opt/balanced/bin/balanced")
    assert f"ExecStart=/opt/balanced/bin/balanced tunnel --config {tmp_path}/tunnel.yaml\n" in text
    assert "RuntimeDirectory=balanced-tunnel\n" in text
    modules = (tmp_path / "etc/modules-load.d/balanced-tunnel.conf").read_text().split("\n")[1:-1]
    assert modules == ["ipip", "ip6_tunnel", "fou", "fou6"]


def test_a_server_that_is_no_pod_gets_its_file(tmp_path: Path) -> None:
    assert " --static /etc/balanced/vips.yaml\n" in unit(tmp_path, "--static", "/etc/balanced/vips.yaml")


def test_a_path_that_means_something_to_systemd_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tunnel.yaml").write_text(CONFIG)
    arguments = ["--role", "tunnel", "--config", str(tmp_path / "tunnel.yaml"), "--static", "/etc/%i.yaml"]
    with pytest.raises(SystemExit) as ended:
        main(["units", str(tmp_path), *arguments])
    assert ended.value.code == 2
    assert "--static: /etc/%i.yaml: cannot stand in a unit" in capsys.readouterr().err
