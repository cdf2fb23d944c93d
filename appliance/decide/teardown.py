"""When a VIP may be taken apart: only after BIRD was seen not to announce it, for the settle time (I2)."""

from collections.abc import Iterable, Mapping

from appliance.model.address import Address
from appliance.model.routing import Routing


def silent_since(
    current: Mapping[Address, float], candidates: Iterable[Address], routing: Routing | None, now_s: float
) -> dict[Address, float]:
    """Since when each candidate has been seen silent.

    A reading that is missing (``routing`` is None) ends every silence: meanwhile BIRD may have undone a configuration
    and announced the VIP again.
    """
    if routing is None:
        return {}
    spoken = routing.held.union(*(peer.exported for peer in routing.peers))
    return {vip: current.get(vip, now_s) for vip in candidates if vip not in spoken}


def settled(silent: Mapping[Address, float], settle_s: float, now_s: float) -> frozenset[Address]:
    """The VIPs whose silence has lasted long enough for every router to have heard it."""
    return frozenset(vip for vip, since_s in silent.items() if now_s - since_s >= settle_s)
