"""What a node keeps for the system around the director: its name and its network."""

import socket
from pathlib import Path

from appliance.firstboot.host import name_host, offer_network


def network(home: Path, **files: str) -> None:
    (home / "network").mkdir(exist_ok=True)
    for name, text in files.items():
        (home / f"network/{name}.network").write_text(text)


def offered(runtime: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in runtime.glob("*.network")}


def test_networkd_gets_the_files_and_may_read_them(tmp_path: Path) -> None:
    network(tmp_path, up="a")
    assert offer_network(tmp_path, tmp_path / "run")
    assert offered(tmp_path / "run") == {"up": "a"}
    assert (tmp_path / "run/up.network").stat().st_mode & 0o777 == 0o644


def test_networkd_is_told_only_of_what_is_different(tmp_path: Path) -> None:
    network(tmp_path, up="a")
    offer_network(tmp_path, tmp_path / "run")
    assert not offer_network(tmp_path, tmp_path / "run")
    network(tmp_path, up="b")
    assert offer_network(tmp_path, tmp_path / "run")


def test_what_the_configuration_no_longer_has_goes_and_what_is_somebody_s_own_stays(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/theirs.network").write_text("t")
    network(tmp_path, up="a", down="b")
    offer_network(tmp_path, tmp_path / "run")

    (tmp_path / "network/down.network").unlink()

    assert offer_network(tmp_path, tmp_path / "run")
    assert offered(tmp_path / "run") == {"theirs": "t", "up": "a"}


def test_without_any_nothing_is_said(tmp_path: Path) -> None:
    assert not offer_network(tmp_path, tmp_path / "run")


def test_a_node_without_a_name_of_its_own_keeps_the_one_it_has(tmp_path: Path) -> None:
    assert not name_host(tmp_path, tmp_path / "etc-hostname")
    assert not (tmp_path / "etc-hostname").exists()


def test_the_name_is_written_down_for_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "hostname").write_text(f"{socket.gethostname()}\n")
    assert not name_host(tmp_path, tmp_path / "etc-hostname")
    assert (tmp_path / "etc-hostname").read_text() == f"{socket.gethostname()}\n"
