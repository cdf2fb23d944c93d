"""Python's garbage collector, told what a director is like.

A director holds some seventy values for each service, as long as it stands, and none of them is part of a cycle:
counted references free them all. A full collection looks at every one, 50 ms at 2,000 services in which the loop stands
still, and each reading of the whole kernel makes enough new ones to bring the next collection on.

What does form cycles (an exception and its traceback, a task) is young when it goes, and collections of young values go
on as ever. The few that are missed wait for a full collection that comes seldom.
"""

import asyncio
import gc

FULL_EVERY_S = 3600.0

# The collector's third threshold, a C int (Modules/gcmodule.c): so many collections of the middle generation.
_NEVER = 2**31 - 1


def spare_what_lasts() -> None:
    """From now on full collections happen only when they are asked for."""
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)


async def collect_seldom() -> None:
    """Ask for one every FULL_EVERY_S, until cancelled."""
    while True:
        await asyncio.sleep(FULL_EVERY_S)
        gc.collect()
