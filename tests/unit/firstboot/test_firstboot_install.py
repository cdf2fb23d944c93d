"""A change is put in place whole or not at all, and leaves alone what is not its own."""

import os
from pathlib import Path, PurePosixPath

import pytest

from appliance.errors import ConfigError
from appliance.firstboot.install import Home, install, read_record
from appliance.firstboot.merge import Change, Obeyed

RECORD = {"volume": Obeyed("digest", ("appliance.yaml",))}


def home(path: Path) -> Home:
    return Home(path, os.geteuid(), os.getegid())


def change(files: dict[str, str], *removed: str) -> Change:
    written = {PurePosixPath(path): text.encode() for path, text in files.items()}
    return Change(written, tuple(map(PurePosixPath, removed)), RECORD)


def standing(folder: Path) -> dict[str, str]:
    """All files but the record, by path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def no_mistakes(stage: Path) -> tuple[str, ...]:
    assert stage.is_dir()
    return ()


def refusing(_: Path) -> tuple[str, ...]:
    return ("/etc/balanced/appliance.yaml:1: bgp: is missing (write it)",)


def test_files_come_with_their_folders_for_root_and_the_director_s_group_alone(tmp_path: Path) -> None:
    made = install(home(tmp_path), change({"appliance.yaml": "a", "services/web.yaml": "w"}), no_mistakes)
    assert set(map(str, made)) == {"appliance.yaml", "services/web.yaml"}
    assert standing(tmp_path) == {"appliance.yaml": "a", "services/web.yaml": "w"}
    assert (tmp_path / "services/web.yaml").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "services").stat().st_mode & 0o777 == 0o750


def test_the_configuration_is_checked_as_the_whole_that_it_will_be(tmp_path: Path) -> None:
    (tmp_path / "tor1.password").write_text("old")
    (tmp_path / "kubeconfig").write_text("stays")
    seen: list[dict[str, str]] = []

    def check(stage: Path) -> tuple[str, ...]:
        seen.append(standing(stage))
        return ()

    install(home(tmp_path), change({"appliance.yaml": "a", "tor1.password": "new"}), check)

    assert seen == [{"appliance.yaml": "a", "kubeconfig": "stays", "tor1.password": "new"}]


def test_a_wrong_one_leaves_everything_as_it_was_and_no_trace(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services/old.yaml").write_text("old")
    (tmp_path / "appliance.yaml").write_text("stands")

    with pytest.raises(ConfigError, match="bgp: is missing"):
        install(home(tmp_path), change({"appliance.yaml": "wrong", "b": ""}, "services/old.yaml"), refusing)

    assert standing(tmp_path) == {"appliance.yaml": "stands", "services/old.yaml": "old"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["appliance.yaml", "services"]
    assert read_record(home(tmp_path)) == {}


def test_without_a_configuration_there_is_nothing_to_check(tmp_path: Path) -> None:
    """A stick that brings the network and keys alone makes a node that can be provisioned."""
    install(home(tmp_path), change({"hostname": "lb1\n"}), refusing)
    assert standing(tmp_path) == {"hostname": "lb1\n"}


def test_only_what_differs_is_replaced(tmp_path: Path) -> None:
    install(home(tmp_path), change({"appliance.yaml": "a", "kubeconfig": "k"}), no_mistakes)
    before = (tmp_path / "appliance.yaml").stat()

    made = install(home(tmp_path), change({"appliance.yaml": "a", "kubeconfig": "l"}), no_mistakes)

    assert list(map(str, made)) == ["kubeconfig"]
    assert (tmp_path / "appliance.yaml").stat().st_ino == before.st_ino


def test_what_a_medium_no_longer_names_goes_and_what_it_never_named_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("m")
    install(home(tmp_path), change({"appliance.yaml": "a", "services/web.yaml": "w"}), no_mistakes)
    install(home(tmp_path), change({"appliance.yaml": "a"}, "services/web.yaml"), no_mistakes)
    assert standing(tmp_path) == {"appliance.yaml": "a", "mine": "m"}


def test_the_record_is_what_the_next_start_reads(tmp_path: Path) -> None:
    install(home(tmp_path), change({"appliance.yaml": "a"}), no_mistakes)
    assert read_record(home(tmp_path)) == RECORD


@pytest.mark.parametrize("text", ["", "{", '{"volume": 1}'])
def test_a_record_that_cannot_be_understood_is_no_record(tmp_path: Path, text: str) -> None:
    """Then a medium speaks once more, which changes nothing that is as it says."""
    (tmp_path / ".firstboot.json").write_text(text)
    assert read_record(home(tmp_path)) == {}


def test_what_a_crash_left_half_made_is_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / ".firstboot/services").mkdir(parents=True)
    (tmp_path / ".firstboot/appliance.yaml").write_text("half")
    install(home(tmp_path), change({"hostname": "lb1\n"}), no_mistakes)
    assert standing(tmp_path) == {"hostname": "lb1\n"}
