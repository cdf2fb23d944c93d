"""What is to be done, step by step, and how each step ended."""

import enum
from dataclasses import dataclass

from appliance.model.address import Address
from appliance.model.service import Destination, ServiceKey, VirtualService


@dataclass(frozen=True, slots=True)
class AddService:
    """Create the virtual service. ``service`` holds what is created, which may be a loading scheduler (rr)."""

    service: VirtualService


@dataclass(frozen=True, slots=True)
class SetService:
    """Change scheduler, flags or persistence of a virtual service that stands."""

    service: VirtualService


@dataclass(frozen=True, slots=True)
class RemoveService:
    """Remove the virtual service and, by the kernel, its destinations."""

    key: ServiceKey


@dataclass(frozen=True, slots=True)
class AddDestination:
    """Add a destination to a virtual service."""

    key: ServiceKey
    destination: Destination


@dataclass(frozen=True, slots=True)
class SetDestination:
    """Change weight, forwarding or tunnel of a destination that stands."""

    key: ServiceKey
    destination: Destination


@dataclass(frozen=True, slots=True)
class RemoveDestination:
    """Remove a destination; ``destination`` is what was observed, for the log."""

    key: ServiceKey
    destination: Destination


@dataclass(frozen=True, slots=True)
class EnsureLink:
    """Create the dummy link if it is missing and set it up."""


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Put the VIP on the dummy link as a one-host prefix."""

    vip: Address


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    """Take the VIP off the dummy link."""

    vip: Address


ServiceStep = AddService | SetService | RemoveService | AddDestination | SetDestination | RemoveDestination
AddressStep = EnsureLink | AddAddress | RemoveAddress
Step = ServiceStep | AddressStep


class Outcome(enum.Enum):
    """How a step ended.

    ALREADY: the kernel was in that state. RETRY: may work in a moment. FATAL: will not work as asked.
    """

    DONE = "done"
    ALREADY = "already"
    RETRY = "retry"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step and its outcome; ``errno`` is the kernel's positive error number, 0 when done."""

    step: Step
    outcome: Outcome
    errno: int = 0
