"""Whether BIRD is there: a small question now and then, so that its end and its return are noticed at once."""

import asyncio
from collections.abc import AsyncIterator

from appliance.bird.control import SHOW_STATUS, BirdControl
from appliance.errors import BirdError

LOOK_S = 1.0
LOOK_AGAIN_S = 0.25


async def changes(control: BirdControl) -> AsyncIterator[None]:
    """Yield whenever BIRD stops answering, answers again, or was started anew since the last look."""
    before = await _connection(control)
    while True:
        await asyncio.sleep(LOOK_AGAIN_S if before is None else LOOK_S)
        now = await _connection(control)
        if now != before:
            yield
        before = now


async def _connection(control: BirdControl) -> int | None:
    """Which connection BIRD answers on, counted from the first; None where it does not answer."""
    try:
        await control.ask(SHOW_STATUS)
    except BirdError:
        return None
    return control.connections
