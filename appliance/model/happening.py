"""What a director did to a service, for those who own the service."""

import enum
from dataclasses import dataclass


class Reason(enum.Enum):
    """What happened, in the words that Events carry; those about IPVS are the ones of the original BalanceD."""

    CREATED_SERVICE = "CreatedIPVSService"
    UPDATED_SERVICE = "UpdatedIPVSService"
    DELETED_SERVICE = "DeletedIPVSService"
    CREATED_DESTINATION = "CreatedIPVSDestination"
    UPDATED_DESTINATION = "UpdatedIPVSDestination"
    DELETED_DESTINATION = "DeletedIPVSDestination"
    ANNOUNCED = "Announced"
    WITHDRAWN = "Withdrawn"
    NOT_ANNOUNCED = "NotAnnounced"
    REFUSED = "Refused"

    @property
    def is_warning(self) -> bool:
        """Whether the owner of the service should look at it."""
        return self in (Reason.WITHDRAWN, Reason.NOT_ANNOUNCED, Reason.REFUSED)


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to the service of ``owner`` (``default/web``), in words."""

    owner: str
    reason: Reason
    text: str
