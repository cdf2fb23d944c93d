"""What differs between two images: each name once, times apart from everything else."""

from dataclasses import replace
from pathlib import Path

from image.differ import Difference, Entry, compare, entry, report

FILE = Entry("file", 0o644, "0:0", 3, "ab" * 32, 1000)


def test_the_same_content_differs_in_nothing() -> None:
    assert compare({"a": FILE}, {"a": FILE}) == []


def test_a_name_that_one_side_lacks_is_told() -> None:
    assert compare({"a": FILE}, {"b": FILE}) == [
        Difference("a", ("only in the first",)),
        Difference("b", ("only in the second",)),
    ]


def test_a_folder_that_one_side_lacks_is_told_once() -> None:
    folder = replace(FILE, kind="folder", content="")
    assert compare({"a": folder, "a/b": folder, "a/b/c": FILE}, {}) == [Difference("a", ("only in the first",))]


def test_a_longer_file_differs_in_its_content_and_not_in_its_size_too() -> None:
    longer = replace(FILE, size_bytes=4, content="cd" * 32, mode=0o600)
    assert compare({"a": FILE}, {"a": longer}) == [Difference("a", ("mode", "content"))]


def test_times_are_counted_and_not_listed() -> None:
    later, other = replace(FILE, changed_s=2000), replace(FILE, changed_s=2000, owner="1:1")
    found = compare({"a": FILE, "b": FILE, "c": FILE}, {"a": later, "b": other, "c": FILE})
    assert report(3, found) == "3 names, 1 differ, 2 have another time\n  b: owner, changed_s\n"


def test_a_link_is_read_as_a_link_and_a_folder_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert entry(tmp_path / "link").content == "nowhere"
    assert (entry(tmp_path).kind, entry(tmp_path).size_bytes) == ("folder", 0)
