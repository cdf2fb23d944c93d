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


def test_a_file_can_be_checked_as_if_it_lay_where_it_will(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its relative paths are those of its place, where the services already lie."""
    shutil.copytree(CONFIG / "good", tmp_path / "etc")
    waiting = tmp_path / "waiting.yaml"
    (tmp_path / "etc/appliance.yaml").rename(waiting)
    assert check(waiting) == 2
    capsys.readouterr()

    with pytest.raises(SystemExit) as ended:
        main(["check", "--as", str(tmp_path / "etc/appliance.yaml"), str(waiting)])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{waiting}: correct: 2 pools, 2 peers, 1 service\n")


def ipam_file(folder: Path, addresses: str) -> Path:
    path = folder / "ipam.yaml"
    path.write_text(f"ipam: {{pools: [{{name: a, addresses: [{addresses}]}}]}}\n")
    return path


def test_a_configuration_of_the_allocator_alone_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ipam_file(tmp_path, "10.50.0.0/24")
    assert check(path) == 0
    assert capsys.readouterr().out == f"{path}: correct: 1 pool\n"
    assert check(ipam_file(tmp_path, "10.50.0.0/24, 10.50.0.7-10.50.0.9")) == 2
    assert f"{path}:1: ipam.pools[0].addresses[1]: 10.50.0.7-10.50.0.9 overlaps" in capsys.readouterr().out


def test_the_allocators_pools_are_checked_against_those_of_a_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is given must be announced by the nodes, and be nobody's own address."""
    shutil.copytree(CONFIG / "good", tmp_path, dirs_exist_ok=True)
    assert check(tmp_path / "appliance.yaml", ipam_file(tmp_path, "10.50.0.0/24")) == 0
    capsys.readouterr()
    path = ipam_file(tmp_path, "10.0.0.0/24")
    assert check(tmp_path / "appliance.yaml", path) == 2
    out = capsys.readouterr().out
    assert f"{path}: 10.0.0.0/24 of pool a holds 10.0.0.1 of bgp.peers[0].address" in out
    assert "is in none of the networks of pools" in out


def test_the_file_of_a_tunnel_agent_is_checked_as_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside a node's and the allocator's files too, of which it is none."""
    shutil.copytree(CONFIG / "good", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tunnel.yaml"
    assert check(path, tmp_path / "appliance.yaml", ipam_file(tmp_path, "10.50.0.0/24")) == 0
    assert f"{path}: correct: 1 pool, 2 director networks\n" in capsys.readouterr().out
    path.write_text("pools: [{name: a, cidrs: [10.50.0.0/24]}]\ndirectors: []\nagent: {resync: 5}\n")
    assert check(path) == 2
    assert f"{path}:3: agent.resync: is not a key known here" in capsys.readouterr().out
