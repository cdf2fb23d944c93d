"""The root that a boot loader loads beside the initramfs: an archive that the kernel unpacks, and a script for iPXE."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image.netboot import FILES, IN_ARCHIVE, after, before

HERE = Path(__file__).parents[3] / "image"
HEADER_BYTES = 110


def members(archive: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Name, mode and content of each file, read as the kernel's init/initramfs.c does."""
    place = 0
    while place < len(archive):
        assert archive[place : place + 6] == b"070701"
        fields = [int(archive[place + 6 + 8 * each :][:8], 16) for each in range(13)]
        name_end = place + HEADER_BYTES + fields[11]
        start = name_end + -name_end % 4
        yield archive[place + HEADER_BYTES : name_end - 1].decode(), fields[1], archive[start : start + fields[6]]
        place = start + fields[6] + -fields[6] % 4


@pytest.mark.parametrize("content", [b"", b"a", b"abcd", bytes(1023)])
def test_the_archive_holds_one_file_and_ends_as_it_should(content: bytes) -> None:
    archive = before(IN_ARCHIVE, len(content)) + content + after(len(content))
    assert list(members(archive)) == [(IN_ARCHIVE, 0o100444, content), ("TRAILER!!!", 0o100444, b"")]


def test_the_script_loads_what_is_published_and_boots_by_our_script() -> None:
    lines = (HERE / "boot.ipxe").read_text().splitlines()
    loaded = [words[1] for line in lines if (words := line.split()) and words[0] in {"kernel", "initrd"}]
    assert loaded == list(FILES[:3])
    assert any("boot=balanced-netboot" in line for line in lines)


def test_the_initramfs_looks_for_the_root_under_the_name_that_it_has_in_the_archive() -> None:
    assert f"/{IN_ARCHIVE} " in (HERE / "initramfs/script").read_text()
