"""The disk of the image: its partitions, GRUB's first sectors, and a boot menu that knows both."""

import re
import struct
from pathlib import Path

import pytest

from image import grub
from image.layout import MIB, PARTITIONS, Partition, disk_bytes, place, sgdisk_arguments

GRUB_CFG = (Path(__file__).parents[3] / "image/grub.cfg").read_text()
BOOT_IMAGE = bytes(510) + b"\x55\xaa"
CORE_SECTOR = 2048


def test_partitions_follow_each_other_without_overlap_and_end_before_the_second_table() -> None:
    end = MIB
    for placed in place():
        assert placed.start_bytes == end
        end += placed.partition.size_bytes
    assert disk_bytes() - end == MIB


def test_the_data_partition_is_the_last_one_so_that_it_can_grow() -> None:
    assert PARTITIONS[-1].name == "balanced-data"


def test_both_slots_have_the_same_size() -> None:
    sizes = {each.size_bytes for each in PARTITIONS if each.name in ("balanced-a", "balanced-b")}
    assert len(sizes) == 1


def test_the_table_is_written_in_sectors_with_names_and_types() -> None:
    tables = list(sgdisk_arguments((Partition("one", "ef00", 2 * MIB), Partition("two", "8300", MIB))))
    assert tables == [
        "--new=1:2048:6143", "--typecode=1:ef00", "--change-name=1:one",
        "--new=2:6144:8191", "--typecode=2:8300", "--change-name=2:two",
    ]  # fmt: skip


def test_a_size_that_is_no_whole_mib_is_refused() -> None:
    with pytest.raises(ValueError, match="odd: 1000 bytes is no multiple of a MiB"):
        list(place((Partition("odd", "8300", 1000),)))


@pytest.mark.parametrize(("slot", "letter"), [("balanced-a", "a"), ("balanced-b", "b")])
def test_the_boot_menu_starts_each_slot_from_its_partition(slot: str, letter: str) -> None:
    number = next(placed.number for placed in place() if placed.partition.name == slot)
    assert re.search(rf"--id {letter} {{ start {letter} {number} }}", GRUB_CFG)


def test_a_try_is_written_down_before_it_is_made() -> None:
    """Otherwise a slot that hangs would be tried for ever."""
    assert re.search(r"if save_env .*; then set default=\"\$candidate\";", GRUB_CFG)


@pytest.mark.parametrize(("slot", "number"), [("a", 0), ("b", 1)])
def test_the_fallback_is_a_number_and_the_menu_has_that_order(slot: str, number: int) -> None:
    """GRUB 2.12 compares a list of names with no entry, and stays in its menu."""
    entries = re.findall(r"^menuentry .* --id (\w)", GRUB_CFG, re.MULTILINE)
    assert entries[number] == slot
    assert set(re.findall(r"set fallback=\"?([\d ]+)", GRUB_CFG)) == {"0", "1", "0 1", "1 0"}


def test_the_first_sector_names_the_place_of_the_core_and_leaves_the_partition_table_alone() -> None:
    code = grub.boot_code(BOOT_IMAGE, CORE_SECTOR)
    assert len(code) == grub.BOOT_CODE_BYTES
    assert struct.unpack_from("<Q", code, 0x5C) == (CORE_SECTOR,)


def test_the_core_names_the_place_of_its_rest() -> None:
    core = grub.core(bytes(4096), CORE_SECTOR, MIB)
    assert struct.unpack_from("<Q", core, 500) == (CORE_SECTOR + 1,)
    assert core[:500] == bytes(500)
    assert core[508:] == bytes(4096 - 508)


def test_what_is_no_boot_image_is_refused() -> None:
    with pytest.raises(ValueError, match="511 bytes without a boot signature"):
        grub.boot_code(BOOT_IMAGE[1:], CORE_SECTOR)


def test_a_core_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="1025 bytes do not fit into 1024"):
        grub.core(bytes(1025), CORE_SECTOR, 1024)
