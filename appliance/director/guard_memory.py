"""What the director remembers of the guard between two passes."""

from dataclasses import dataclass

from appliance.decide.backoff import Backoff
from appliance.decide.fight import Fight
from appliance.decide.guard import Gaps
from appliance.model.address import Address
from appliance.model.guard import Guard
from appliance.model.service import ServiceKey

UNREAD = Gaps("the guard has not been read yet")


@dataclass(slots=True)
class GuardMemory:
    """The guard that is wanted, and what became of it.

    ``due`` says that services changed in what the guard goes by; ``ending`` are services that nobody wants and that
    keep their rules until they have left the kernel (I2); ``own`` are this node's own addresses in the pools. ``stood``
    is what was put in force by this director last: what is found otherwise was changed by somebody else. ``gaps`` are
    what the latest reading lacked. Before ``next_s`` the table is not listed again only because somebody changed some
    ruleset, and before ``whole_s`` not for the resync: listing a large one takes long.
    """

    wanted: Guard | None = None
    due: bool = True
    ending: frozenset[ServiceKey] = frozenset()
    own: frozenset[Address] = frozenset()
    stood: Guard | None = None
    gaps: Gaps = UNREAD
    fight: Fight | None = None
    backoff: Backoff | None = None
    next_s: float = 0.0
    whole_s: float = 0.0
