"""Active checks: what is probed, and how it answered."""

import enum
from dataclasses import dataclass

from appliance.model.address import Address
from appliance.model.service import ServiceKey


class ProbeAnswer(enum.Enum):
    """What came of one probe.

    UNSENT: this node could not even ask, which says nothing about the backend.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    SILENT = "silent"
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """One backend as a real server of one virtual service: the same address is another target for another service."""

    key: ServiceKey
    backend: Address

    def __str__(self) -> str:
        return f"{self.key} at {self.backend}"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The answer to one probe; ``detail`` says why it was not sent."""

    target: ProbeTarget
    answer: ProbeAnswer
    detail: str = ""
