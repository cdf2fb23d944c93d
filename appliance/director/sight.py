"""First stage of a pass: read the kernel, as much of it as the scope asks for."""

import asyncio
from collections.abc import Iterable

from appliance.director.context import Context
from appliance.director.intent import refresh
from appliance.director.wakes import Scope
from appliance.model.address import Address
from appliance.model.observed import ObservedService
from appliance.model.service import ServiceKey


async def observe(context: Context, scope: Scope) -> frozenset[ServiceKey]:
    """Read link, routes and services; returns the keys that this pass is about.

    What has changed since the last pass belongs to it, and so does what a new reading of link or routes touches.
    """
    memory, ports = context.memory, context.ports
    keys = set(scope.keys)
    if scope.link or not memory.link.up or memory.by_vip.keys() - memory.link.addresses:
        keys |= await read_link(context)
    if scope.link or not memory.routes_known:
        await _read_routes(context)
    keys |= memory.changed
    if scope.canary and not scope.everything:
        keys |= await _missing(context)
    if scope.everything:
        found = await asyncio.to_thread(ports.ipvs.dump)
        memory.services = {key: each for key, each in found.items() if ours(context, key.vip)}
        return frozenset(memory.expected.keys() | memory.services.keys())
    await read_services(context, keys)
    return frozenset(keys)


async def _missing(context: Context) -> frozenset[ServiceKey]:
    """Services that do not stand as they should, by a reading without destinations, which a full pass compares."""
    standing = await asyncio.to_thread(context.ports.ipvs.dump_services)
    expected = context.memory.expected
    return frozenset(key for key, want in expected.items() if standing.get(key) != want.service)


async def read_services(context: Context, keys: Iterable[ServiceKey]) -> None:
    """Read these services again and remember what was found, or that nothing was."""
    wanted = frozenset(keys)
    if not wanted:
        return
    found: dict[ServiceKey, ObservedService] = await asyncio.to_thread(context.ports.ipvs.read, wanted)
    for key in wanted:
        if key in found:
            context.memory.services[key] = found[key]
        else:
            context.memory.services.pop(key, None)


async def read_link(context: Context) -> frozenset[ServiceKey]:
    """Read the link again; returns the services whose VIPs it concerns."""
    memory = context.memory
    before, memory.link = memory.link, await asyncio.to_thread(context.ports.link.dump)
    if before.up != memory.link.up or before.present != memory.link.present:
        return memory.keys_of(memory.by_vip.keys())
    return memory.keys_of(before.addresses ^ memory.link.addresses)


async def _read_routes(context: Context) -> None:
    memory = context.memory
    dead = await asyncio.to_thread(context.ports.routes.unroutable, memory.subnets)
    memory.routes_known = True
    if dead == memory.unroutable:
        return
    if dead:
        listed = ", ".join(sorted(map(str, dead)))
        context.standing.begin("routes", f"no route to backends in {listed}: they count as not ready here")
    else:
        context.standing.end("routes")
    memory.unroutable = dead
    refresh(context)


def ours(context: Context, vip: Address) -> bool:
    """Ownership (I5): the VIP lies in one of this node's pools."""
    return any(vip in network for network in context.settings.networks)
