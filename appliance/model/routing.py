"""What BIRD was read to announce."""

from dataclasses import dataclass, field

from appliance.model.address import Address


@dataclass(frozen=True, slots=True)
class Announcement:
    """What BIRD is to tell the routers: these VIPs, and which of them the routers had better reach elsewhere.

    ``avoided`` are VIPs that are de-preferred one by one; ``node_avoided`` de-prefers all that this node announces.
    """

    vips: frozenset[Address] = frozenset()
    avoided: frozenset[Address] = frozenset()
    node_avoided: bool = False

    @property
    def depreferred(self) -> frozenset[Address]:
        """The announced VIPs that routers are asked to avoid."""
        return self.vips if self.node_avoided else self.vips & self.avoided

    def stands_in(self, routing: "Routing") -> bool:
        """Whether BIRD was read to hold exactly this."""
        return routing.held == self.vips and routing.depreferred == self.depreferred


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
    """One reading of BIRD: its version, the VIPs that stand in our static protocols, and every BGP session of ours.

    ``depreferred`` are those of ``held`` that were read to carry the mark by which routers avoid them. ``disabled``
    names the static protocols of ours that somebody else has disabled in BIRD.
    """

    version: str = ""
    held: frozenset[Address] = frozenset()
    depreferred: frozenset[Address] = frozenset()
    peers: tuple[PeerView, ...] = field(default=())
    disabled: frozenset[str] = frozenset()

    @property
    def exported(self) -> frozenset[Address]:
        """VIPs that at least one established peer is told about."""
        return frozenset().union(*(peer.exported for peer in self.peers if peer.established))

    @property
    def isolated(self) -> bool:
        """Whether no router can hear of this node: there are BGP sessions, and none of them is established."""
        return bool(self.peers) and not any(peer.established for peer in self.peers)
