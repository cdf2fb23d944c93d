"""kube-proxy on the same node: told as soon as both want the same VIP, before they come to a fight (fault 46)."""

import asyncio

from appliance.decide import kube_proxy
from appliance.decide.fight import KUBE_PROXY_LINK
from appliance.director.context import Context
from appliance.telemetry import messages


async def watch(context: Context) -> None:
    """Say which VIPs kube-proxy takes too, or that none is any more.

    Raises:
        KernelError: the kernel refused to say whether kube-proxy's link is there.
    """
    desired = context.memory.desired
    vips = kube_proxy.taken(desired.services.values()) if desired else frozenset()
    is_here = bool(vips) and await asyncio.to_thread(context.ports.link.exists, KUBE_PROXY_LINK)
    if is_here:
        context.standing.begin(messages.KUBE_PROXY, f"{kube_proxy.in_words(vips)}; {kube_proxy.REMEDY}")
    else:
        context.standing.end(messages.KUBE_PROXY)
