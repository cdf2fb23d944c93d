"""Leads while a Lease is provably held: renewed in time, by the clock of this process alone.

A leader counts its time from before it sent the renewal, others from after they have read it, and it stops
``renew_within_s`` later while they wait ``duration_s``. So two never lead at once, however their clocks are set.

A process that stands still in between cannot stop by itself, and must not go on where it stood. So the kernel is asked
beforehand to end it, ``duration_s`` after the renewal was sent: others have read it later than that.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from appliance.decide.lead import Sighting, bid, sight
from appliance.errors import SourceError
from appliance.ipam.ports import Lease

RELEASE_S = 2.0
MIN_END_S = 1e-3


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds; see ``ipam.lease`` in the configuration."""

    duration_s: int
    renew_within_s: float
    retry_s: float


class Elector:
    """One candidate. ``clock`` counts seconds, also those in which this process or machine stands still.

    ``end_in`` has the process ended by somebody else in so many seconds, which a later call puts off; 0 calls it off.

    ``turned_s`` is when it tried last, by ``clock``; ``error`` why it could not, ``leader`` who leads as it read.
    """

    def __init__(
        self,
        lease: Lease,
        terms: Terms,
        identity: str,
        clock: Callable[[], float],
        *,
        on_turn: Callable[[], None] = lambda: None,
        end_in: Callable[[float], None] = lambda _: None,
        chance: Random | None = None,
    ) -> None:
        self.error: SourceError | None = None
        self.turned_s = clock()
        self._lease = lease
        self._terms = terms
        self._identity = identity
        self._clock = clock
        self._on_turn = on_turn
        self._end_in = end_in
        self._chance = chance or Random()  # noqa: S311 - spreads load, keeps no secret
        self._sighting: Sighting | None = None
        self._until_s = -math.inf

    @property
    def left_s(self) -> float:
        """For how many seconds more this process leads for sure; 0 or less: it must not write."""
        return self._until_s - self._clock()

    @property
    def leader(self) -> str:
        """Who leads, as far as it was read; empty if nobody does, or nothing was read yet."""
        record = self._sighting.record if self._sighting else None
        return record.holder if record else ""

    @property
    def has_read(self) -> bool:
        """Whether the Lease was ever read."""
        return self._sighting is not None

    async def lead(self, work: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
        """Do ``work`` whenever this candidate leads, until ``stop``; then let others lead at once.

        Work is cancelled as soon as the leadership is over; what else ends it is raised.
        """
        stopping = asyncio.create_task(stop.wait())
        working: asyncio.Task[None] | None = None
        try:
            while not stop.is_set():
                await self._turn()
                if self.left_s > 0 and working is None:
                    working = asyncio.create_task(work(), name="leading")
                elif self.left_s <= 0 and working is not None:
                    await _end(working)
                    self._end_in(0)
                    working = None
                self._on_turn()
                tasks = {stopping, working} if working else {stopping}
                await asyncio.wait(tasks, timeout=self._pause_s(), return_when=asyncio.FIRST_COMPLETED)
                if working is not None and working.done():
                    working.result()
        finally:
            stopping.cancel()
            if working is not None:
                await _end(working)
            self._end_in(0)
        await self._release()

    async def _turn(self) -> None:
        """Renew the Lease or try to take it; a leader waits for the answer no longer than it leads."""
        patience_s = self.left_s if self.left_s > 0 else self._terms.renew_within_s
        try:
            async with asyncio.timeout(patience_s):
                await self._attempt()
        except (SourceError, TimeoutError) as error:
            within = f"the API server gives no answer about the Lease within {patience_s:.1f} s"
            self.error = error if isinstance(error, SourceError) else SourceError(within)
        else:
            self.error = None
        self.turned_s = self._clock()

    async def _attempt(self) -> None:
        record = await self._lease.read()
        self._sighting = sight(self._sighting, record, self._clock())
        wanted = bid(self._sighting, self._identity, self._terms.duration_s, self._clock())
        if wanted is None:
            self._until_s = -math.inf
            return
        sent_s = self._clock()
        written = await self._lease.write(wanted)
        if written is None:
            # Somebody was faster; who leads now the next reading tells.
            return
        self._sighting = Sighting(written, self._clock())
        self._until_s = sent_s + self._terms.renew_within_s
        self._end_in(max(sent_s + self._terms.duration_s - self._clock(), MIN_END_S))

    def _pause_s(self) -> float:
        pause_s = self._terms.retry_s * self._chance.uniform(0.8, 1.0)
        return max(0.0, min(pause_s, self.left_s)) if self.left_s > 0 else pause_s

    async def _release(self) -> None:
        """Say that nobody leads, so that others need not wait; if that fails they do."""
        record = self._sighting.record if self._sighting else None
        if self.left_s <= 0 or record is None:
            return
        self._until_s = -math.inf
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._lease.write(replace(record, holder="", duration_s=1))
        except (SourceError, TimeoutError):
            return


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel the task and wait for its end; what ended it before is raised."""
    if task.done():
        task.result()
        return
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
