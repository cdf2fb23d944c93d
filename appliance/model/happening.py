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
    ALLOCATING = "AllocatingLoadBalancerIP"
    ALLOCATED = "AllocatedLoadBalancerIP"
    OUT_OF_ADDRESSES = "OutOfLoadBalancerIP"
    REQUEST_UNMET = "IPRequestCriteriaNotMet"
    NO_SUITABLE_ADDRESS = "NoSuitableLoadBalancerIP"
    SHARING_CONFLICT = "LoadBalancerIPSharingConflict"
    FOREIGN_CLASS = "ForeignLoadBalancerClass"
    FOREIGN_ADDRESS = "ForeignLoadBalancerIP"
    UPPED_TUNNEL = "UppedIPIPTunnelInterface"
    ADDED_TUNNEL_VIP = "AddedIPIPTunnelIP"
    DELETED_TUNNEL_VIP = "DeletedIPIPTunnelIP"
    TUNNEL_REFUSED = "TunnelRefused"
    TUNNEL_FAILED = "TunnelFailed"

    @property
    def is_warning(self) -> bool:
        """Whether the owner of the service should look at it."""
        return self in _WARNINGS


_WARNINGS = frozenset(
    {
        Reason.WITHDRAWN,
        Reason.NOT_ANNOUNCED,
        Reason.REFUSED,
        Reason.OUT_OF_ADDRESSES,
        Reason.REQUEST_UNMET,
        Reason.NO_SUITABLE_ADDRESS,
        Reason.SHARING_CONFLICT,
        Reason.FOREIGN_CLASS,
        Reason.FOREIGN_ADDRESS,
        Reason.TUNNEL_REFUSED,
        Reason.TUNNEL_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to the service of ``owner`` (``default/web``), in words."""

    owner: str
    reason: Reason
    text: str
