"""What an operator has taken out of service: the whole node, or some of its VIPs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from appliance.model.address import Address


@dataclass(frozen=True, slots=True)
class Drain:
    """One order to drain: who gave it, why, and when (time of day, with zone). ``now`` spares the wait."""

    who: str
    why: str
    since: datetime
    now: bool = False

    def __str__(self) -> str:
        return f"drained by {self.who}: {self.why}" if self.why else f"drained by {self.who}"


@dataclass(frozen=True, slots=True)
class Drains:
    """Every order that stands. An order for the node covers all VIPs; one for a VIP outlasts it."""

    node: Drain | None = None
    vips: Mapping[Address, Drain] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.node is not None or bool(self.vips)

    def of(self, vip: Address) -> Drain | None:
        """The order that covers the VIP, if any; that for the VIP itself before that for the node."""
        return self.vips.get(vip, self.node)

    def with_order(self, vip: Address | None, order: Drain) -> "Drains":
        """The orders with one more, for the node where ``vip`` is None; it takes the place of an older one."""
        return replace(self, node=order) if vip is None else replace(self, vips={**self.vips, vip: order})

    def without(self, vip: Address | None) -> "Drains":
        """The orders without that for ``vip``; None lifts all of them."""
        if vip is None:
            return Drains()
        return replace(self, vips={each: order for each, order in self.vips.items() if each != vip})
