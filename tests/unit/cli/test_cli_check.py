"""``balanced check``: everything that is wrong, on stdout, and exit status 2; or one line that says what was found."""

import shutil
from pathlib import Path

import pytest

from appliance.cli.main import main

CONFIG = Path(__file__).parents[1] / "config"
SERVICES = sorted((CONFIG / "bad").glob("*/expect.txt"))


def check(*paths: Path) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["check", *map(str, paths)])
    return int(caught.value.code or 0)


def test_a_correct_configuration_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(CONFIG / "good", tmp_path, dirs_exist_ok=True)
    assert check(tmp_path / "appliance.yaml") == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'appliance.yaml'}: correct: 2 pools, 2 peers, 1 service\n"
    assert captured.err == ""


def test_all_mistakes_are_printed_and_the_status_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    path = CONFIG / "bad" / "two_mistakes.yaml"
    assert check(path) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[0] for line in lines if line.startswith(f"{path}:")]
    assert len(lines) == 2


def test_one_bad_file_among_good_ones_gives_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = CONFIG / "good" / "least.yaml", CONFIG / "bad" / "unknown_key.yaml"
    assert check(good, bad) == 2
    out = capsys.readouterr().out
    assert f"{good}: correct: " in out
    assert f"{bad}:15: bgp.comunities: is not a key known here (did you mean communities?)" in out


@pytest.mark.parametrize("expect", [pytest.param(path, id=path.parent.name) for path in SERVICES])
def test_a_mistake_in_the_services_is_told_in_exactly_these_words(
    expect: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``expect.txt`` holds the lines, with paths from its own directory."""
    root = expect.parent
    assert check(root / "appliance.yaml") == 2
    assert capsys.readouterr().out.replace(f"{root}/", "") == expect.read_text()


def test_there_are_such_mistakes() -> None:
    assert {path.parent.name for path in SERVICES} >= {"vip_outside_pools", "duplicate_vip_port", "network_as_vip"}
