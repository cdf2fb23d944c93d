"""``balanced render``: BIRD's configuration on standard output, without secrets."""

import shutil
from pathlib import Path

import pytest

from appliance.bird.render import render_config, render_snippet
from appliance.cli.main import main
from appliance.config.load import load

GOOD = Path(__file__).parents[1] / "config" / "good"


@pytest.fixture
def full(tmp_path: Path) -> Path:
    shutil.copytree(GOOD, tmp_path, dirs_exist_ok=True)
    return tmp_path / "appliance.yaml"


def rendered(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["render", str(path), *options])
    assert not caught.value.code
    return capsys.readouterr().out


def test_the_whole_bird_conf_is_printed_without_a_password(full: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load(full)
    passwords = [peer.password.get_secret_value() for peer in config.bgp.peers if peer.password is not None]
    expected = render_config(config)
    for password in passwords:
        expected = expected.replace(f'"{password}"', '"HIDDEN"')
    assert passwords
    assert expected.count("HIDDEN") == len(passwords)
    assert rendered(full, capsys) == expected


def test_an_operator_of_his_own_bird_gets_what_he_has_to_add(full: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full.write_text(full.read_text().replace("manage: full", "manage: include"))
    assert rendered(full, capsys) == render_snippet(load(full))


def test_a_mistake_is_told_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["render", str(GOOD.parent / "bad" / "unknown_key.yaml")])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean communities?" in captured.err


def test_the_guard_is_printed_with_the_services_of_the_files(full: Path, capsys: pytest.CaptureFixture[str]) -> None:
    services = full.parent / "services"
    for each in services.iterdir():
        each.unlink()
    (services / "web.yaml").write_text("{vip: 10.50.0.1, ports: [80], backends: [10.1.0.1], new_flows_per_s: 5}")
    text = rendered(full, capsys, "--guard")
    assert text.startswith("table inet balanced\n")
    assert "10.50.0.1 . 6 . 80" in text
    assert "10.50.0.0/24" in text
    full.write_text(full.read_text().replace("guard:\n  enabled: true", "guard:\n  enabled: false"))
    assert rendered(full, capsys, "--guard").startswith("# guard.enabled is false")
