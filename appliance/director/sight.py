"""First stage of a pass: read the kernel, as much of it as the scope asks for."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from appliance.decide import mtu, own_address
from appliance.director import ownership
from appliance.director.context import Context
from appliance.director.intent import refresh
from appliance.director.memory import Memory
from appliance.director.wakes import Scope
from appliance.model.address import Address, Network
from appliance.model.observed import ObservedService
from appliance.model.service import ServiceKey
from appliance.telemetry import messages

# What the canary reads: its price is not to grow with the table, and of a table that is flushed any few are gone.
CANARY_SERVICES = 4

_Read = TypeVar("_Read")


async def observe(context: Context, scope: Scope) -> frozenset[ServiceKey]:
    """Read link, routes and services; returns the keys that this pass is about.

    What has changed since the last pass belongs to it, and so does what a new reading of link or routes touches.
    """
    memory, ports = context.memory, context.ports
    keys = set(scope.keys)
    if scope.link or not memory.link.up or memory.by_vip.keys() - memory.link.addresses:
        keys |= await read_link(context)
    keys |= _take_taken(context)
    if scope.link or not memory.routes_known:
        await _read_routes(context)
    keys |= memory.changed
    if scope.everything:
        found, memory.reading_s = await asyncio.to_thread(_timed, ports.ipvs.dump, context.cpu_clock)
        memory.services = {key: each for key, each in found.items() if ours(context, key.vip)}
        ownership.take_stock(context)
        differing = {key for key, want in memory.expected.items() if memory.services.get(key) != want}
        # A reading of the whole table may be short (fault 28): what seems to be gone from it is looked for by name.
        await read_services(context, {key for key in differing - memory.changed if _lacks(memory, key)})
        return frozenset(keys | differing | _unsettled(memory))
    await read_services(context, keys)
    return frozenset(keys)


def _unsettled(memory: Memory) -> set[ServiceKey]:
    """What else a full reading leaves to do: services that nobody wants, or whose VIP another proof would move."""
    unwanted = memory.services.keys() - memory.expected.keys()
    draining = {key for key, _, _ in memory.draining_s}
    restless = {vip for vip, state in memory.gates.items() if not state.at_rest}
    return unwanted | draining | memory.keys_of(restless | (memory.by_vip.keys() - memory.proofs.keys()))


def _lacks(memory: Memory, key: ServiceKey) -> bool:
    """Whether the service, or a destination of it, seems to be gone."""
    want, have = memory.expected[key], memory.services.get(key)
    return have is None or bool(_identities(want) - _identities(have))


def _identities(service: ObservedService) -> set[tuple[object, int]]:
    return {each.identity for each in service.destinations}


def _timed(dump: Callable[[], _Read], cpu_clock: Callable[[], float]) -> tuple[_Read, float]:
    """A reading, and the seconds that it kept the processor busy: a machine busy with other things does not count."""
    started_s = cpu_clock()
    found = dump()
    return found, cpu_clock() - started_s


async def disturbed(context: Context) -> bool:
    """Whether a few services, others each time, stand otherwise than they were read last: enough to find a flush."""
    memory = context.memory
    known = list(memory.services)
    if not known:
        return False
    start = memory.sampled % len(known)
    sample = frozenset(known[start : start + CANARY_SERVICES])
    memory.sampled = start + CANARY_SERVICES
    found = await asyncio.to_thread(context.ports.ipvs.read, sample)
    return any(found.get(key) != memory.services[key] for key in sample)


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
    cut = {vip for vip, _ in before.cut.items() ^ memory.link.cut.items()}
    return memory.keys_of((before.addresses ^ memory.link.addresses) | cut)


def _take_taken(context: Context) -> frozenset[ServiceKey]:
    """Find the VIPs that another link of this node has too; returns the services for which that has changed."""
    memory = context.memory
    before, memory.taken = memory.taken, memory.link.elsewhere & memory.by_vip.keys()
    if before == memory.taken:
        return frozenset()
    if memory.taken:
        context.standing.begin(messages.OWN_ADDRESS, own_address.in_words(memory.taken))
    else:
        context.standing.end(messages.OWN_ADDRESS)
    return memory.keys_of(before ^ memory.taken)


async def _read_routes(context: Context) -> None:
    memory = context.memory
    path_mtus = await asyncio.to_thread(context.ports.routes.path_mtus, memory.subnets)
    memory.routes_known = True
    _take_mtus(context, path_mtus)
    dead = memory.subnets - path_mtus.keys()
    if dead == memory.unroutable:
        return
    if dead:
        listed = ", ".join(sorted(map(str, dead)))
        context.standing.begin(messages.ROUTES, f"no route to backends in {listed}: they count as not ready here")
    else:
        context.standing.end(messages.ROUTES)
    memory.unroutable = dead
    refresh(context)


def _take_mtus(context: Context, path_mtus: Mapping[Network, int]) -> None:
    """What is announced goes on through a path that is too small; what is not is judged anew."""
    memory, needed = context.memory, context.settings.min_path_mtu
    narrow = mtu.too_narrow(path_mtus, needed)
    if narrow == memory.narrow:
        return
    memory.narrow = narrow
    if narrow and needed is not None:
        context.standing.begin(messages.MTU, mtu.in_words(narrow, needed))
    else:
        context.standing.end(messages.MTU)
    context.wakes.services(memory.keys_of(vip for vip, state in memory.gates.items() if not state.announce))


def leftover(context: Context) -> frozenset[Address]:
    """The VIPs of ours that stand in the kernel, as a service or as an address, though no service wants them."""
    memory = context.memory
    # Of sets and dicts Python knows the hashes; to hash each of thousands of keys anew costs more than all the rest.
    unwanted = set(memory.services).difference(memory.expected, memory.strangers)
    standing = memory.link.addresses | {key.vip for key in unwanted}
    return frozenset(vip for vip in standing.difference(memory.by_vip) if ours(context, vip))


def ours(context: Context, vip: Address) -> bool:
    """Ownership (I5): the VIP lies in one of this node's pools."""
    return any(vip in network for network in context.settings.networks)
