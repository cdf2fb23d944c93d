"""What the preflight says of this host."""

from dataclasses import dataclass
from enum import Enum


class Grade(Enum):
    """How a finding is to be taken; the worst one is the verdict on the host."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at one place. ``remedy`` is empty where all is well."""

    check: str
    grade: Grade
    text: str
    remedy: str = ""
