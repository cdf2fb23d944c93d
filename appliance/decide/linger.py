"""VIPs that a backend keeps for a while after it stopped being one: its connections end there. Pure.

Directors drain a backend that has left its service: its connections go on for the drain time, while nothing new comes.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from appliance.model.address import Address, Network
from appliance.model.tunnel import TunnelVip, TunnelWant


@dataclass(frozen=True, slots=True)
class Held:
    """A VIP that stands, until ``until_s`` on the agent's clock; without an end while it is wanted."""

    vip: TunnelVip
    until_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Holding:
    """What one backend is to have: what is wanted of it now, and what it keeps from before."""

    want: TunnelWant = field(default_factory=TunnelWant)
    held: Mapping[Address, Held] = field(default_factory=dict)

    @property
    def ends_s(self) -> float:
        """When the first VIP that is only kept has been kept long enough."""
        return min((each.until_s for each in self.held.values()), default=math.inf)


def hold(before: Holding, want: TunnelWant, *, now_s: float, linger_s: float) -> Holding:
    """What is to stand now that ``want`` is wanted.

    Listeners stay as long as any VIP is kept that may need them. With a ``linger_s`` of 0 nothing is kept any longer.
    """
    held = {vip.address: Held(vip) for vip in want.vips}
    for address, each in before.held.items():
        until_s = each.until_s if linger_s and each.until_s < math.inf else now_s + linger_s
        if address not in held and until_s > now_s:
            held[address] = Held(each.vip, until_s)
    if len(held) == len(want.vips):
        return Holding(want, held)
    vips = frozenset(each.vip for each in held.values())
    directors = want.directors if want.vips else before.want.directors
    return Holding(TunnelWant(vips, want.listeners | before.want.listeners, directors), held)


def adopt(
    before: Holding, found: Iterable[TunnelVip], directors: tuple[Network, ...] | None, *, until_s: float
) -> Holding:
    """What is to stand where these VIPs were found that nobody wants now: somebody may have until a moment ago."""
    held = {vip.address: Held(vip, until_s) for vip in found} | dict(before.held)
    if len(held) == len(before.held):
        return before
    return Holding(TunnelWant(frozenset(each.vip for each in held.values()), before.want.listeners, directors), held)
