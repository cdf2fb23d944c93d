"""One director with its control socket, from its first pass to its orderly end."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

from appliance.director.loop import Director
from appliance.telemetry import messages
from appliance.telemetry.journal import Journal

# A pass is over within a second or two; one that waits for a BIRD that hangs takes a few of its time-outs.
STOP_S = 10.0


async def serve(
    director: Director, control: Coroutine[Any, Any, None], journal: Journal, ends: Collection[asyncio.Event]
) -> None:
    """Run the director and its control socket until one of ``ends`` is set; what ends them otherwise is raised (I8).

    The pass at hand is finished first, for at most ``STOP_S``: otherwise a service may stay half programmed, and a
    configuration that BIRD was given and nobody confirmed is undone by it.
    """
    running = asyncio.create_task(director.run(), name="director")
    beside = asyncio.create_task(control, name="control socket")
    calls = [asyncio.create_task(each.wait()) for each in ends]
    await asyncio.wait([running, beside, *calls], return_when=asyncio.FIRST_COMPLETED)
    director.stop()
    _, late = await asyncio.wait([running], timeout=STOP_S)
    if late:
        journal.tell(messages.PASS_GIVEN_UP, WITHIN_S=STOP_S)
    rest = [task for task in (running, beside, *calls) if not task.done()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for task in (beside, running):
        if task not in rest:
            task.result()
