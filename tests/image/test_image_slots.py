"""The boot loader counts: real firmware, real GRUB, real grub.cfg, and slots that hold no more than a kernel."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from image.qemu import Firmware
from tests.image.tiny import End, Parts, parts, starts, tiny_disk

pytestmark = pytest.mark.bed

FIRMWARES: tuple[Firmware, ...] = ("bios", "uefi")


@dataclass(frozen=True, slots=True)
class Case:
    """A is good and B is tried so many times, which ends like this: the slots that start, and what GRUB writes down."""

    end: End
    tries: int
    started: list[str]
    after: dict[str, str]


CASES = {
    "a slot that never proves itself has its three tries, and is given up": Case(
        "restarts", 3, ["b", "b", "b", "a"], {"good": "a", "trial": "", "tries": "", "failed": "b"}
    ),
    "a kernel that panics restarts by itself": Case(
        "panics", 1, ["b", "a"], {"good": "a", "trial": "", "tries": "", "failed": "b"}
    ),
    "a slot without kernel costs no start": Case(
        "has no kernel", 3, ["a"], {"good": "a", "trial": "b", "tries": "2", "failed": ""}
    ),
    "a slot without initramfs costs no start": Case(
        "has no initramfs", 3, ["a"], {"good": "a", "trial": "b", "tries": "2", "failed": ""}
    ),
    "a slot that is well is started once": Case(
        "is the last", 3, ["b"], {"good": "a", "trial": "b", "tries": "2", "failed": ""}
    ),
}


@pytest.fixture(scope="module")
def made_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    disk = request.config.getoption("--disk")
    if disk is None:
        raise pytest.UsageError("the marker bed needs --disk; -m 'not bed' leaves these tests out")
    return parts(Path(disk), tmp_path_factory.mktemp("parts"))


@pytest.mark.parametrize("firmware", FIRMWARES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_fault_50_a_slot_that_does_not_start_or_is_not_well_is_left(
    made_of: Parts, tmp_path: Path, case: Case, firmware: Firmware
) -> None:
    variables = {"good": "a", "trial": "b", "tries": str(case.tries), "failed": ""}
    disk = tiny_disk(made_of, tmp_path, {"a": "is the last", "b": case.end}, variables)
    assert starts(disk, firmware) == (case.started, case.after)


def test_the_other_slot_stands_in_for_a_good_one_without_kernel(made_of: Parts, tmp_path: Path) -> None:
    disk = tiny_disk(made_of, tmp_path, {"a": "is the last", "b": "has no kernel"}, {"good": "b"})
    assert starts(disk, "bios")[0] == ["a"]


def test_a_slot_that_failed_does_not_stand_in(made_of: Parts, tmp_path: Path) -> None:
    """It may be half written: better nothing than that. The node stays in GRUB's menu."""
    disk = tiny_disk(made_of, tmp_path, {"a": "is the last", "b": "has no kernel"}, {"good": "b", "failed": "a"})
    with pytest.raises(TimeoutError, match="does not end"):
        starts(disk, "bios", within_s=90)
