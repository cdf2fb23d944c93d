"""Make BIRD read its configuration again, so that it falls back by itself unless it is told to keep it.

Reply codes (doc/reply_codes): 0003 done, 0004 in progress, 0005 queued behind another one (a queued one is dropped for
it), 0006 ignored as BIRD is shutting down, 0017 an undo that only took a queued one out, 0018 confirmed, 0019 nothing
to do, 0020 the configuration parses, 0022 an undo is scheduled, 8002 it does not parse. BIRD 3 answers 0004 to most
requests and is done a moment later, BIRD 2 does where a protocol has to be stopped first.
"""

import asyncio
import contextlib
from pathlib import Path

from appliance.bird import files
from appliance.bird.control import CHECK, CONFIGURE_STATUS, CONFIRM, UNDO, BirdControl, configure
from appliance.config.schema import Bird
from appliance.errors import BirdError, BirdRejected

RECONFIGURED = 3
IN_PROGRESS = 4
QUEUED = 5
CONFIRMED = 18
CHECKED = 20
UNDO_SCHEDULED = 22
DOES_NOT_PARSE = 8002

_FIRST_PAUSE_S = 0.005
_LAST_PAUSE_S = 0.1


async def check(control: BirdControl) -> None:
    """Have BIRD parse what stands on the disk, without effect.

    Raises:
        BirdRejected: it does not parse (code 8002), or BIRD does not allow the question.
        BirdUnreachable: there is no answer.
    """
    reply = await control.ask(CHECK)
    if reply.code != CHECKED:
        raise BirdRejected(CHECK.text, reply.code, reply.text)


async def apply(control: BirdControl, undo_after_s: int) -> None:
    """Start reading the configuration; BIRD undoes it after ``undo_after_s`` unless it is confirmed.

    Raises:
        BirdRejected: BIRD does not do it: 8002, or 0006 because it is shutting down.
        BirdUnreachable: there is no answer.
    """
    command = configure(undo_after_s)
    reply = await control.ask(command)
    if reply.code not in {RECONFIGURED, IN_PROGRESS, QUEUED}:
        raise BirdRejected(command.text, reply.code, reply.text)


async def confirm(control: BirdControl) -> None:
    """Keep the configuration that BIRD has now.

    Raises:
        BirdRejected: BIRD has undone it already.
        BirdUnreachable: there is no answer.
    """
    reply = await control.ask(CONFIRM)
    if reply.code != CONFIRMED:
        raise BirdRejected(CONFIRM.text, reply.code, reply.text, hint="it was not confirmed in time and is undone")


async def confirm_leftover(control: BirdControl) -> None:
    """Keep a configuration whose writer died before it could confirm it; otherwise BIRD would change routes under us.

    Raises:
        BirdUnreachable: there is no answer.
    """
    if UNDO_SCHEDULED in (await control.ask(CONFIGURE_STATUS)).codes:
        await control.ask(CONFIRM)


async def take_back(control: BirdControl, path: Path, before: bytes | None, mode: int) -> None:
    """The file as it was, and BIRD too; only after ``configure`` was taken, or undo would reach further back.

    Raises:
        BirdError: the file cannot be written.
    """
    files.replace(path, before, mode)
    await undo(control)


async def undo(control: BirdControl) -> None:
    """Have BIRD go back to what it had before ``configure``, done (0003, 0004), queued (0005) or unqueued (0017)."""
    # Where BIRD does not answer now, its own time-out undoes it.
    with contextlib.suppress(BirdError):
        await control.ask(UNDO)


async def is_busy(control: BirdControl) -> bool:
    """Whether a reconfiguration is going on or queued.

    Raises:
        BirdUnreachable: there is no answer.
    """
    return bool((await control.ask(CONFIGURE_STATUS)).codes & {IN_PROGRESS, QUEUED})


def settle_s(bird: Bird) -> float:
    """Seconds a reconfiguration may be in progress, so that reading back and confirming still come in time."""
    return bird.confirm_timeout_s - 2 * bird.timeout_s


async def settle(control: BirdControl, within_s: float) -> bool:
    """Wait until no reconfiguration is going on or queued; false where one still is after ``within_s``.

    Raises:
        BirdUnreachable: there is no answer.
    """
    patience = Patience(within_s)
    while await patience.again():
        if not await is_busy(control):
            return True
    return False


class Patience:
    """Asking again and again, with growing pauses, until the time is up: ``while await patience.again(): ...``."""

    def __init__(self, within_s: float) -> None:
        self._deadline_s = asyncio.get_running_loop().time() + within_s
        self._pause_s = 0.0

    async def again(self) -> bool:
        """True at once when called first, later after a pause, false when the time is up."""
        if self._pause_s:
            left_s = self._deadline_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                return False
            await asyncio.sleep(min(self._pause_s, left_s))
        self._pause_s = min(2 * self._pause_s, _LAST_PAUSE_S) or _FIRST_PAUSE_S
        return True
