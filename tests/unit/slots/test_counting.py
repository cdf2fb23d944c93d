"""Which slot starts next: played against a GRUB that does what image/grub.cfg says."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import SlotError
from appliance.slots.counting import MOST_TRIES, SLOTS, Slots, other, proven, read, running, started, tried, written

SLOT = st.sampled_from(SLOTS)


def grub(slots: Slots, *, bootable: frozenset[str]) -> tuple[Slots, str]:
    """One start: what GRUB leaves behind, and the slot that runs then."""
    if slots.trial and slots.tries:
        slots = replace(slots, tries=slots.tries - 1)
        return slots, slots.trial if slots.trial in bootable else slots.good
    if slots.trial:
        slots = replace(slots, trial="", failed=slots.trial)
    return slots, slots.good


def starts(slots: Slots, *, bootable: frozenset[str], well: frozenset[str]) -> tuple[list[str], Slots]:
    """The slots that are started until a start is the last one, and what stands in grubenv then."""
    ran: list[str] = []
    while True:
        slots, slot = grub(slots, bootable=bootable)
        ran.append(slot)
        slots = started(slots, slot)
        if slot in well:
            return ran, proven(slots, slot)
        if slots.trial != slot:
            return ran, slots


@given(SLOT, st.integers(1, MOST_TRIES))
def test_a_slot_that_proves_itself_is_kept(good: str, tries: int) -> None:
    target = other(good)
    ran, after = starts(
        tried(written(Slots(good), target), target, tries), bootable=frozenset(SLOTS), well=frozenset(SLOTS)
    )
    assert ran == [target]
    assert after == Slots(target)


@given(SLOT, st.integers(1, MOST_TRIES))
def test_fault_50_a_slot_that_does_not_prove_itself_is_left_within_its_tries(good: str, tries: int) -> None:
    target = other(good)
    ran, after = starts(tried(Slots(good), target, tries), bootable=frozenset(SLOTS), well=frozenset({good}))
    assert ran == [target] * tries + [good]
    assert after == Slots(good, failed=target)


@given(SLOT)
def test_fault_50_a_slot_without_a_kernel_costs_no_more_than_one_start(good: str) -> None:
    target = other(good)
    ran, after = starts(tried(Slots(good), target), bootable=frozenset({good}), well=frozenset(SLOTS))
    assert ran == [good]
    assert after == Slots(good, failed=target)


def test_a_good_slot_that_is_not_well_is_not_restarted_for_ever() -> None:
    assert starts(Slots("a"), bootable=frozenset(SLOTS), well=frozenset())[0] == ["a"]


def test_a_slot_that_is_written_cannot_be_started_until_it_is_whole() -> None:
    half = written(Slots("a", trial="b", tries=2), "b")
    assert half == Slots("a", failed="b")
    assert grub(half, bootable=frozenset(SLOTS))[1] == "a"
    assert tried(half, "b") == Slots("a", "b", MOST_TRIES)


def test_the_good_slot_is_never_overwritten() -> None:
    """A node that runs its trial slot and has not proven it needs the good one."""
    with pytest.raises(SlotError, match="slot A is the one that has proven itself"):
        written(Slots("a", trial="b", tries=1), "a")


@given(st.builds(Slots, SLOT, SLOT, st.integers(0, MOST_TRIES), st.sampled_from(["", *SLOTS])))
def test_variables_read_back(slots: Slots) -> None:
    assert read(slots.variables) == slots


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"good": "c"}, "good=c is none of a, b"),
        ({"good": "a", "trial": "x"}, "trial=x is none of a, b"),
        ({"tries": "4"}, "tries=4 is none of 0, 1, 2, 3"),
        ({"tries": "-1"}, "tries=-1 is none of"),
    ],
)
def test_a_value_that_nobody_writes_is_named(values: dict[str, str], named: str) -> None:
    with pytest.raises(SlotError, match=named):
        read(values)


def test_the_kernel_says_which_slot_runs() -> None:
    assert running("root=PARTUUID=1 rw balanced.slot=b balanced.trial panic=30\n") == "b"


@pytest.mark.parametrize("line", ["", "root=/dev/sda1 quiet", "balanced.slot=", "balanced.slot=c"])
def test_a_machine_without_slots_is_told_what_upgrades_it(line: str) -> None:
    with pytest.raises(SlotError, match=r"was not started from a slot.*rolling\.yml"):
        running(line)
