"""Which image is taken: when a commit costs a build, what the cache keeps, where packages come from."""

import os
from pathlib import Path

import pytest

from image.build import kept, recipe
from image.debian import KEEP_S, prune, sources

FILES = {"image/base.sh": b"1", "ansible/bake.yml": b"2", "requirements.lock": b"3"}


@pytest.mark.parametrize("name", FILES)
def test_a_change_of_how_the_image_is_made_is_another_recipe(name: str) -> None:
    assert recipe({**FILES, name: b"changed"}.items()) != recipe(FILES.items())


def test_a_file_more_is_another_recipe() -> None:
    assert recipe({**FILES, "templates/new": b""}.items()) != recipe(FILES.items())


@pytest.mark.parametrize("name", ["image/README.md", "image/__pycache__/base.cpython-311.pyc"])
def test_words_for_people_and_leftovers_cost_no_build(name: str) -> None:
    assert recipe({**FILES, name: b""}.items()) == recipe(FILES.items())


def test_the_order_of_the_files_is_not_part_of_a_recipe() -> None:
    assert recipe(reversed(FILES.items())) == recipe(FILES.items())


def test_the_last_image_of_a_recipe_is_taken_only_if_it_is_there_whole(tmp_path: Path) -> None:
    assert kept(tmp_path, "recipe-1") is None
    (tmp_path / "recipe-1").symlink_to("trixie-1")
    assert kept(tmp_path, "recipe-1") is None
    (tmp_path / "trixie-1").mkdir()
    assert kept(tmp_path, "recipe-1") is None
    (tmp_path / "trixie-1/SHA256SUMS").write_text("")
    assert kept(tmp_path, "recipe-1") == tmp_path / "trixie-1"


def test_what_nobody_used_for_two_weeks_goes_and_the_lock_stays(tmp_path: Path) -> None:
    for name in ("old", "used", "lock"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "recipe").symlink_to("folder")
    for path in tmp_path.iterdir():
        os.utime(path, (0, path.lstat().st_mtime - KEEP_S - 60), follow_symlinks=False)
    prune(tmp_path, tmp_path / "used")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "used"]


@pytest.mark.parametrize(
    ("archive", "security"),
    [
        ("http://deb.debian.org/debian/", "http://deb.debian.org/debian-security"),
        (
            "https://snapshot.debian.org/archive/debian/20261101T000000Z",
            "https://snapshot.debian.org/archive/debian-security/20261101T000000Z",
        ),
        ("http://debian.example/debian", "http://debian.example/debian-security"),
    ],
)
def test_security_fixes_come_from_beside_the_archive(
    archive: str, security: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBIAN_ARCHIVE", archive)
    monkeypatch.delenv("DEBIAN_SECURITY_ARCHIVE", raising=False)
    assert sources("trixie", "main") == [
        f"deb {archive.rstrip('/')} trixie main",
        f"deb {archive.rstrip('/')} trixie-updates main",
        f"deb {security} trixie-security main",
    ]
