"""Withdrawing without a configuration: our static protocol is disabled, and BIRD takes all of its routes back.

That takes the other VIPs of the IP version along, on this node. An announcement of what cannot be served is worse.
The reason that is given to BIRD stands in ``show protocols all``. By it a director that starts anew knows its own doing
from an operator's; BIRD forgets it when the protocol starts again, which reading a new configuration does.
"""

import contextlib
from collections.abc import Awaitable, Callable

from appliance.bird.control import BirdControl, disable
from appliance.bird.observe import OUR_MESSAGE, Reading
from appliance.bird.reconfigure import Patience
from appliance.bird.render import STATIC_PROTOCOLS
from appliance.errors import BirdRejected
from appliance.model.address import Address, address_order

REASON = f"{OUR_MESSAGE}withdrawn by the director, as BIRD takes no new configuration"


async def stop(
    control: BirdControl, read: Callable[[], Awaitable[Reading]], wanted: frozenset[Address], within_s: float
) -> Reading | None:
    """Disable each protocol that holds what is not wanted, until it was read to be gone or the time is up.

    Where nothing has to go BIRD is only read; None where it would not let itself be read.

    Raises:
        BirdUnreachable: there is no answer.
        BirdUnexpected: an answer cannot be understood.
    """
    reading = None
    patience = Patience(within_s)
    while await patience.again():
        # It refuses to list the exports of a session that has ended a moment ago.
        with contextlib.suppress(BirdRejected):
            reading = await read()
            unwanted = _unwanted(reading, wanted)
            if not unwanted:
                break
            for name in sorted({STATIC_PROTOCOLS[vip.version] for vip in unwanted} - reading.stopped):
                await control.ask(disable(name, REASON))
    return reading


def told(reading: Reading, wanted: frozenset[Address]) -> str:
    """What stands disabled by us and what still does not go, for the error that led to it; empty where nothing does."""
    texts = []
    for version, name in STATIC_PROTOCOLS.items():
        if name in reading.stopped:
            taken = sum(1 for vip in wanted if vip.version == version)
            others = f", and with it {taken} that should be announced" if taken else ""
            texts.append(f"{name} is disabled so that what had to be withdrawn is{others}")
    if texts:
        texts.append("it is enabled again as soon as BIRD takes a configuration: birdc configure check")
    unwanted = sorted(_unwanted(reading, wanted), key=address_order)
    if unwanted:
        texts.append(f"{unwanted[0]} had to be withdrawn and is not, nor are {len(unwanted) - 1} others: stop BIRD")
    return "; ".join(texts)


def _unwanted(reading: Reading, wanted: frozenset[Address]) -> frozenset[Address]:
    return (reading.routing.held | reading.routing.exported) - wanted
