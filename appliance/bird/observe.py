"""What BIRD is read to hold and to tell its peers."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.bird.control import (
    SHOW_PROTOCOLS,
    SHOW_STATUS,
    BirdControl,
    show_exported,
    show_marked,
    show_routes,
)
from appliance.bird.render import STATIC_PROTOCOLS, protocol_name
from appliance.bird.replies import Session, parse_protocols, parse_routes, parse_status
from appliance.config.schema import Config
from appliance.model.address import Address
from appliance.model.routing import PeerView, Routing

ABSENT = "absent"
# The reason with which we disable our protocols begins so; it outlives the director, and tells our doing from others'.
OUR_MESSAGE = "balanced: "
# A static protocol without fault is never in another state for longer than BIRD needs to read its configuration.
_UP = frozenset({"up", "start"})


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of BIRD: what the rest of the program sees, and the sessions it was made from.

    ``stopped`` are those of our static protocols that we have disabled ourselves, as the reason in BIRD says.
    """

    routing: Routing
    sessions: tuple[Session, ...]
    stopped: frozenset[str] = frozenset()

    def untold(self, vips: frozenset[Address]) -> dict[str, frozenset[Address]]:
        """For each established session those of ``vips`` it is not told, though it speaks their family."""
        told = {peer.name: peer.exported for peer in self.routing.peers}
        missing = {
            session.name: frozenset(vip for vip in vips - told[session.name] if vip.version in session.families)
            for session in self.sessions
            if session.up
        }
        return {name: untold for name, untold in missing.items() if untold}


def our_sessions(config: Config) -> frozenset[str] | None:
    """The names that our BGP sessions have in BIRD; None where all that BIRD has are ours to use.

    Raises:
        ConfigError: a peer's name cannot be one of BIRD's.
    """
    if config.bgp.manage == "include":
        return None
    return frozenset(protocol_name(peer) for peer in config.bgp.peers)


async def read(control: BirdControl, sessions: frozenset[str] | None) -> Reading:
    """Ask BIRD for everything that Routing says; about 2 + 2 x families + families x peers short commands.

    ``sessions`` are the names of the BGP sessions to look at; None looks at all. One that BIRD does not have is shown
    as absent.

    Raises:
        BirdUnreachable: there is no answer.
        BirdRejected: BIRD refuses a question.
        BirdUnexpected: an answer cannot be understood.
    """
    version = parse_status(await control.ask(SHOW_STATUS))
    protocols = parse_protocols(await control.ask(SHOW_PROTOCOLS))
    statics = frozenset(STATIC_PROTOCOLS.values()) & {protocol.name for protocol in protocols}
    held = {name: parse_routes(await control.ask(show_routes(name))) for name in sorted(statics)}
    watched = tuple(each for each in protocols if each.is_bgp and (sessions is None or each.name in sessions))
    peers = [await _peer(control, session, held) for session in watched]
    peers += _absent((sessions or frozenset()) - {session.name for session in watched})
    marked = [parse_routes(await control.ask(show_marked(name))) for name, routes in held.items() if routes]
    down = [each for each in protocols if each.name in statics and each.state not in _UP]
    routing = Routing(
        version.text,
        frozenset[Address]().union(*held.values()),
        frozenset[Address]().union(*marked),
        tuple(sorted(peers, key=lambda peer: peer.name)),
        frozenset(each.name for each in down if not each.message.startswith(OUR_MESSAGE)),
    )
    return Reading(routing, watched, frozenset(each.name for each in down if each.message.startswith(OUR_MESSAGE)))


async def _peer(control: BirdControl, session: Session, held: dict[str, frozenset[Address]]) -> PeerView:
    """The session and what it is told; BIRD refuses the question about one that is down."""
    exported = frozenset[Address]()
    if session.up and session.families:
        # A protocol without routes exports none: no question, as in the other family on most nodes.
        for protocol in sorted(name for name, routes in held.items() if routes):
            exported |= parse_routes(await control.ask(show_exported(protocol, session.name)))
    return PeerView(session.name, session.up, session.state, exported)


def _absent(names: Iterable[str]) -> list[PeerView]:
    return [PeerView(name, established=False, state=ABSENT) for name in names]


async def observe(control: BirdControl, config: Config) -> Routing:
    """One reading of BIRD.

    Raises:
        BirdError: BIRD does not answer, refuses, or answers something that cannot be understood.
    """
    return (await read(control, our_sessions(config))).routing
