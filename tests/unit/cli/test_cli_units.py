"""``balanced units``: files below a folder, and word of those that changed."""

from pathlib import Path

import pytest

from appliance.cli.main import main
from appliance.telemetry.catalog import catalog

CONFIG = """node: {name: lb1, router_id: 10.0.0.11}
pools: [{name: public, cidrs: [10.50.0.0/24]}]
sources: {file: {path: services}}
bgp: {local_as: 64512, peers: [{name: tor1, address: 10.0.0.1, as: 64500}]}
"""


def units(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[object, list[str]]:
    """Exit status, and the files that it says it changed."""
    (folder / "appliance.yaml").write_text(CONFIG)
    with pytest.raises(SystemExit) as ended:
        main(["units", str(folder / "root"), "--config", str(folder / "appliance.yaml")])
    return ended.value.code, capsys.readouterr().out.splitlines()


def test_everything_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, changed = units(tmp_path, capsys)

    assert status == 0
    assert {Path(each) for each in changed} == {each for each in (tmp_path / "root").rglob("*") if each.is_file()}
    assert units(tmp_path, capsys) == (0, [])


def test_only_what_differs_is_written_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    units(tmp_path, capsys)
    shipped = tmp_path / "root/usr/lib/systemd/catalog/balanced.catalog"
    shipped.write_text("")

    assert units(tmp_path, capsys) == (0, [str(shipped)])
    assert shipped.read_text() == catalog()


def test_the_last_will_that_is_installed_is_the_one_that_was_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    units(tmp_path, capsys)

    installed = tmp_path / "root/usr/local/lib/balanced/last_will.py"
    assert installed.read_text() == (Path(__file__).parents[3] / "appliance/last_will.py").read_text()


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "appliance.yaml").write_text(CONFIG)
    options = ["--config", str(tmp_path / "appliance.yaml"), "--as", "/etc/balanced/appliance.yaml"]
    with pytest.raises(SystemExit):
        main(["units", str(tmp_path / "root"), "--dry-run", *options])
    foreseen = capsys.readouterr().out

    assert not (tmp_path / "root").exists()
    with pytest.raises(SystemExit):
        main(["units", str(tmp_path / "root"), *options])
    assert capsys.readouterr().out == foreseen
    unit = tmp_path / "root/etc/systemd/system/balanced-director.service"
    assert "--config /etc/balanced/appliance.yaml" in unit.read_text()
