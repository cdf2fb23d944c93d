"""An operator's orders in the passes: what BIRD is told of drained VIPs, and when they are withdrawn."""

import asyncio
from collections import defaultdict
from dataclasses import replace

from appliance.decide.drain import left_s, over, step
from appliance.decide.gate import GateState
from appliance.director.context import Context
from appliance.errors import BirdError, KernelError
from appliance.model.address import Address
from appliance.model.routing import Announcement
from appliance.telemetry import messages

# How often the connections of VIPs that are being drained are counted, and the share of the time that may take: BIRD
# has thousands of routers' tables to change meanwhile.
LOOK_S = 0.5
LOOKING_SHARE = 0.1
LEAVE_S = 4.0
# A wake that comes a moment early would find nothing to do.
MARGIN_S = 0.01


def announcement(context: Context) -> Announcement:
    """What BIRD is to be told now."""
    memory = context.memory
    return Announcement(memory.told, frozenset(memory.drains.vips), memory.drains.node is not None)


def forbidden(context: Context, vip: Address, state: GateState) -> str:
    """Why the VIP must not be announced, by order; empty where there is no order or its wait still goes on."""
    order = context.memory.drains.of(vip)
    if order is None:
        return ""
    return str(order) if order.now or not state.announce or vip in context.memory.evacuated else ""


async def advance(context: Context) -> None:
    """Look how far the wait of each VIP is that is still announced though an order stands against it.

    The time-out also ends the wait of one that BIRD cannot be brought to de-prefer.
    """
    memory, policy, now_s = context.memory, context.settings.drain_wait, context.clock()
    if not memory.drains and not memory.waits:
        return
    leaving = frozenset(vip for vip in memory.told if memory.drains.of(vip) is not None) - memory.evacuated
    marked = memory.routing.depreferred if memory.routing is not None else frozenset()
    begun = {vip for vip, wait in memory.waits.items() if wait.told or vip not in marked}
    if leaving == begun and now_s < memory.waits_due_s:
        return
    connections = await _connections(context, leaving)
    took_s = context.clock() - now_s
    memory.waits = {
        vip: step(memory.waits.get(vip), count, now_s, told=vip in marked) for vip, count in connections.items()
    }
    done = frozenset(vip for vip, wait in memory.waits.items() if over(wait, policy, now_s))
    if done:
        memory.evacuated |= done
        context.wakes.services(memory.keys_of(done))
    waiting = [left_s(wait, policy, now_s) for vip, wait in memory.waits.items() if vip not in done]
    if waiting:
        memory.waits_due_s = now_s + min(*waiting, max(LOOK_S, took_s / LOOKING_SHARE))
        context.wakes.services_at(memory.waits_due_s + MARGIN_S)


async def _connections(context: Context, vips: frozenset[Address]) -> dict[Address, int | None]:
    """The connections that each VIP has been given so far, None where the kernel does not tell."""
    if not vips:
        return {}
    try:
        counted = await asyncio.to_thread(context.ports.ipvs.connections, context.memory.keys_of(vips))
    except KernelError:
        # The time-out of the wait holds without them.
        return dict.fromkeys(vips)
    totals: dict[Address, int] = defaultdict(int)
    for key, number in counted.items():
        totals[key.vip] += number
    return {vip: totals.get(vip) for vip in vips}


async def leave(context: Context) -> None:
    """The last act of a director that stops for good: do with the routes what ``director.on_stop`` says.

    What it leaves with BIRD stands until another director has proven it, so BIRD is told for LEAVE_S at most.
    """
    on_stop, memory = context.settings.on_stop, context.memory
    if on_stop == "hold":
        return
    try:
        async with asyncio.timeout(LEAVE_S):
            held = memory.told if memory.adopted else (await context.ports.router.observe()).held
            left = frozenset() if on_stop == "withdraw" else held
            if held:
                await context.ports.router.publish(replace(announcement(context), vips=left, node_avoided=True))
    except (BirdError, TimeoutError) as error:
        context.journal.tell(messages.NOT_LEFT, REASON=str(error) or f"no answer within {LEAVE_S:g} s")
        return
    context.journal.tell(messages.LEFT, REASON=on_stop, VIPS=len(held))
