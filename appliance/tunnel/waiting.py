"""Waiting for VIPs in this very namespace, as an init container does before its server starts."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import closing

from appliance.errors import ControlError
from appliance.model.address import Address, address_order
from appliance.netlink.transport import NETLINK_ROUTE, NetlinkSocket
from appliance.tunnel.kernel import tunnel_addresses
from appliance.vips.kernel import KernelMonitor

HINT = "does a Service with a VIP have this pod as an endpoint, with equal ports? does the node run balanced tunnel?"


async def wait_for_vips(wanted: Collection[Address], within_s: float) -> list[Address]:
    """The VIPs on this namespace's tunnel devices, once ``wanted`` are among them, or with none wanted any is there.

    Raises:
        ControlError: they are not within ``within_s`` seconds; what is there is named.
        KernelError: the kernel does not say.
    """
    with closing(NetlinkSocket(NETLINK_ROUTE)) as netlink:
        return await _once(lambda: tunnel_addresses(netlink), wanted, within_s)


async def _once(read: Callable[[], frozenset[Address]], wanted: Collection[Address], within_s: float) -> list[Address]:
    # Subscribed before the first look, so that nothing is missed between that and the next.
    with closing(KernelMonitor()) as monitor:
        found = read()
        try:
            async with asyncio.timeout(within_s):
                changes = monitor.changes()
                while not (set(wanted) <= found if wanted else found):
                    await anext(changes)
                    found = read()
        except TimeoutError:
            raise ControlError(_in_vain(found, wanted, within_s), hint=HINT) from None
    return sorted(wanted or found, key=address_order)


def _in_vain(found: Collection[Address], wanted: Collection[Address], within_s: float) -> str:
    missing = ", ".join(map(str, sorted(set(wanted) - set(found), key=address_order))) or "any VIP"
    there = ", ".join(map(str, sorted(found, key=address_order))) or "none"
    return f"waited {within_s:g} s in vain for {missing} on tunl0 or ip6tnl0; VIPs there: {there}"
