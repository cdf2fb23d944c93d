"""VIPs that a kube-proxy on this node takes for its own: it puts them on its link, and makes IPVS services of its own.

So does kube-proxy in IPVS mode with every address in a Service's status whose ipMode is not Proxy (pkg/proxy/ipvs,
syncProxyRules; KEP-1860).
"""

from collections.abc import Iterable

from appliance.decide.fight import KUBE_PROXY_LINK
from appliance.model.address import Address, address_order
from appliance.model.desired import DesiredService

MOST_NAMED = 3
REMEDY = (
    f"keep it off this node, or run it in mode nftables (then ip link del {KUBE_PROXY_LINK}), or give it the pools as "
    "ipvs.excludeCIDRs and the Services ipMode: Proxy"
)


def taken(services: Iterable[DesiredService]) -> frozenset[Address]:
    """The VIPs of these services that kube-proxy would take."""
    return frozenset(service.key.vip for service in services if service.kube_proxy_too)


def in_words(vips: Iterable[Address]) -> str:
    """That it is here, and which VIPs it takes, the first of them by name, if any are known."""
    here = f"kube-proxy in IPVS mode is here (link {KUBE_PROXY_LINK})"
    ordered = sorted(vips, key=address_order)
    more = f" and {len(ordered) - MOST_NAMED} more" if len(ordered) > MOST_NAMED else ""
    named = ", ".join(map(str, ordered[:MOST_NAMED]))
    if not ordered:
        return f"{here}: it deletes our services"
    return f"{here} and takes {named}{more} for its own: ipMode is not Proxy"
