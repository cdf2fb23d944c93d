"""What BIRD was read to announce."""

from dataclasses import dataclass, field

from appliance.model.address import Address


@dataclass(frozen=True, slots=True)
class PeerView:
    """One BGP session of ours: whether it is established, and which of our VIPs BIRD exports to it.

    ``state`` is BIRD's own word for the session (``Established``, ``Active``, ``Idle`` ...), for people to read.
    """

    name: str
    established: bool
    state: str = ""
    exported: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Routing:
    """One reading of BIRD: its version, the VIPs that stand in our static protocols, and every BGP session of ours."""

    version: str = ""
    held: frozenset[Address] = frozenset()
    peers: tuple[PeerView, ...] = field(default=())

    @property
    def exported(self) -> frozenset[Address]:
        """VIPs that at least one established peer is told about."""
        return frozenset().union(*(peer.exported for peer in self.peers if peer.established))
