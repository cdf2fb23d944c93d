"""Which slot starts next, as a value: (state, event) -> state. GRUB's half of it is image/grub.cfg.

``good`` has proven itself, ``trial`` is being tried and has ``tries`` starts left, ``failed`` is not to be started: its
trial ended without a proof, or what is in it is not whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.errors import SlotError

SLOTS = ("a", "b")
# As many as grub.cfg knows to count down from.
MOST_TRIES = 3
PARAMETER = "balanced.slot="


@dataclass(frozen=True, slots=True)
class Slots:
    """What grubenv says. An empty name is none."""

    good: str = "a"
    trial: str = ""
    tries: int = 0
    failed: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The same for grubenv."""
        return {"good": self.good, "trial": self.trial, "tries": str(self.tries or ""), "failed": self.failed}


def read(values: Mapping[str, str]) -> Slots:
    """What the variables of grubenv say; what is not there is as grub.cfg takes it.

    Raises:
        SlotError: a variable has a value that neither GRUB nor this program writes.
    """
    good, trial, failed = values.get("good", "a"), values.get("trial", ""), values.get("failed", "")
    tries = values.get("tries", "") or "0"
    for name, value, allowed in (
        ("good", good, SLOTS),
        ("trial", trial, ("", *SLOTS)),
        ("failed", failed, ("", *SLOTS)),
        ("tries", tries, tuple(map(str, range(MOST_TRIES + 1)))),
    ):
        if value not in allowed:
            raise SlotError(f"grubenv: {name}={value} is none of {', '.join(filter(None, allowed))}")
    return Slots(good, trial, int(tries) if trial else 0, failed)


def running(command_line: str) -> str:
    """The slot that the kernel with this command line was started from.

    Raises:
        SlotError: it was not started from a slot.
    """
    named = [word.removeprefix(PARAMETER) for word in command_line.split() if word.startswith(PARAMETER)]
    if not named or named[-1] not in SLOTS:
        raise SlotError(
            f"the kernel was not started from a slot: its command line lacks {PARAMETER}a or {PARAMETER}b",
            hint="only a node that was installed from the image has slots; others are upgraded by ansible/rolling.yml",
        )
    return named[-1]


def other(slot: str) -> str:
    """The slot that this one is not."""
    return SLOTS[1 - SLOTS.index(slot)]


def written(slots: Slots, target: str) -> Slots:
    """``target`` is about to be overwritten: from now on nobody may start it.

    Raises:
        SlotError: it is the only slot that is known to start.
    """
    if target == slots.good:
        raise SlotError(
            f"slot {target.upper()} is the one that has proven itself, and the slot that runs has not yet",
            hint="balanced slots; wait for balanced-assess.service, or restart into the good slot",
        )
    return replace(slots, trial="", tries=0, failed=target)


def tried(slots: Slots, target: str, tries: int = MOST_TRIES) -> Slots:
    """``target`` is whole, and is to be tried at the next ``tries`` starts."""
    return replace(slots, trial=target, tries=tries, failed="" if slots.failed == target else slots.failed)


def started(slots: Slots, slot: str) -> Slots:
    """This slot runs. If another one was to be tried, then GRUB could not start it, or somebody chose in its menu."""
    if slots.trial and slots.trial != slot:
        return replace(slots, trial="", tries=0, failed=slots.trial)
    return slots


def proven(slots: Slots, slot: str) -> Slots:
    """This slot runs and has proven itself."""
    return Slots(good=slot, failed="" if slots.failed == slot else slots.failed)
