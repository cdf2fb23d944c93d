"""Do packets of full size fit the way to the backends? Nothing else tells: small ones, and all probes, arrive.

A backend asks clients for segments that fit its own link with the tunnel's header in front (``Tunnel.header_bytes``).
So the measure is the packet with its header, the same for every tunnel.
"""

from collections.abc import Iterable, Mapping

from appliance.decide.reach import backend_subnets
from appliance.model.address import Network
from appliance.model.observed import ObservedService

MOST_NAMED = 3


def too_narrow(path_mtus: Mapping[Network, int], min_path_mtu: int | None) -> dict[Network, int]:
    """The subnets whose path takes less than ``min_path_mtu`` bytes (None: whatever it takes is enough)."""
    if min_path_mtu is None:
        return {}
    return {subnet: mtu for subnet, mtu in path_mtus.items() if mtu < min_path_mtu}


def caution(
    services: Iterable[ObservedService],
    narrow: Mapping[Network, int],
    min_path_mtu: int,
    prefix_v4: int,
    prefix_v6: int,
) -> str:
    """Why a VIP with these services should not be announced if it is not yet; empty where nothing speaks against it.

    Only destinations that take new connections count. ``narrow`` has subnets of ``prefix_v4`` or ``prefix_v6`` bits.
    """
    taking = {each.address for service in services for each in service.destinations if each.weight > 0}
    concerned = backend_subnets(taking, prefix_v4, prefix_v6) & narrow.keys()
    return in_words({subnet: narrow[subnet] for subnet in concerned}, min_path_mtu) if concerned else ""


def in_words(narrow: Mapping[Network, int], min_path_mtu: int) -> str:
    """What is too small, the worst first."""
    ordered = sorted(narrow.items(), key=lambda each: (each[1], each[0].version, each[0].network_address.packed))
    subnets = ", ".join(f"{subnet} takes {mtu}" for subnet, mtu in ordered[:MOST_NAMED])
    more = f", and {len(ordered) - MOST_NAMED} more subnets are too small" if len(ordered) > MOST_NAMED else ""
    return f"path MTU too small: {subnets} of {min_path_mtu} bytes needed{more}"
