"""Events on Services, or on pods. Nobody waits for them: what cannot be written is dropped, counted, and said once.

The ``status`` of a Service is never written here.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from urllib.parse import quote

from appliance.errors import SourceError
from appliance.model.happening import Happening
from appliance.sources.kubernetes.api import EVENTS, Expired, Refused, Sender, SendingCluster, Unreachable
from appliance.sources.kubernetes.events import (
    DIRECTOR,
    Limits,
    Pending,
    Queue,
    Series,
    Teller,
    continuation,
    creation,
)
from appliance.sources.kubernetes.objects import Metadata

WRITE_S = 10.0
"""A write that takes longer counts as failed."""

SESSION_S = 60.0
"""A connection is used that long; the next one reads the credentials anew."""

TOLERATED = 3
"""Failures in a row that are daily business: a namespace that is going takes no Events any more."""

FIRST_RETRY_S, MAX_RETRY_S = 1.0, 60.0
MOST_SUBJECTS = 20_000

_NOT_FOUND = 404
_HINTS = {
    401: "renew the token or client certificate, which is read again at each try",
    403: "allow create and patch of events, as the ClusterRole of `balanced manifests director` does",
}


class EventPublisher:
    """Writes Events about what ``subject`` knows, by ``namespace/name``; about all else it is silent.

    They are Services, unless ``teller`` says otherwise. ``node`` is the name of this node. ``written`` counts requests
    that succeeded, ``dropped`` happenings that nobody will ever hear of.
    """

    def __init__(
        self,
        cluster: SendingCluster,
        subject: Callable[[str], Metadata | None],
        node: str,
        *,
        teller: Teller = DIRECTOR,
        limits: Limits | None = None,
        chance: Random | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.written = 0
        self._refused = 0
        self._cluster = cluster
        self._subject = subject
        self._node = node
        self._teller = teller
        self._limits = limits or Limits()
        self._chance = chance or Random()  # noqa: S311 - spreads load, keeps no secret
        self._now = now
        self._queue: Queue | None = None
        self._series = Series(self._limits)
        self._subjects: OrderedDict[str, Metadata] = OrderedDict()
        self._news = asyncio.Event()

    @property
    def dropped(self) -> int:
        """Happenings that were dropped, because too much waited or the server refused them."""
        return self._refused + (self._queue.dropped if self._queue else 0)

    def report(self, happenings: Sequence[Happening]) -> None:
        """Let these be told. Neither waits nor fails."""
        queue = self._waiting()
        for happening in happenings:
            subject = self._known(happening.owner)
            if subject is not None:
                queue.put(subject, happening, self._now())
        if len(queue):
            self._news.set()

    async def outcomes(self) -> AsyncIterator[SourceError | None]:
        """Write, for ever; yields the error while nothing can be written, and None once it can again."""
        failures = 0
        while True:
            before = self.written
            error = await self._session(trial=failures > 0)
            if self.written > before:
                if failures >= TOLERATED:
                    yield None
                failures = 0
            if error is None:
                continue
            failures += 1
            if failures >= TOLERATED:
                yield error
            longest_s = min(FIRST_RETRY_S * 2 ** min(failures - 1, 31), MAX_RETRY_S)
            await asyncio.sleep(longest_s * self._chance.uniform(0.5, 1.0))

    async def _session(self, *, trial: bool) -> SourceError | None:
        """One connection, opened when there is something to say: the error that ended it, or None.

        It ends when its time is over; a trial ends with the first Event that is written.
        """
        await self._news.wait()
        end_s = asyncio.get_running_loop().time() + SESSION_S
        try:
            async with self._cluster.connect() as connection:
                while (pending := await self._next(end_s)) is not None:
                    await self._tell(connection, pending)
                    if trial:
                        break
        except SourceError as error:
            return error
        return None

    async def _next(self, end_s: float) -> Pending | None:
        """What is to be told next, None after ``end_s``."""
        loop, queue = asyncio.get_running_loop(), self._waiting()
        while loop.time() < end_s:
            pending = queue.take(loop.time())
            if pending is not None:
                return pending
            if len(queue):
                await asyncio.sleep(1 / self._limits.per_s)
            else:
                self._news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(end_s):
                        await self._news.wait()
        return None

    async def _tell(self, connection: Sender, pending: Pending) -> None:
        """Write one Event; what the server did not answer is tried again, what it refused is not."""
        try:
            async with asyncio.timeout(WRITE_S):
                await self._write(connection, pending)
        except (Unreachable, TimeoutError) as error:
            self._waiting().put_back(pending)
            raise error if isinstance(error, Unreachable) else Unreachable(f"no answer within {WRITE_S:g} s") from None
        except Refused as error:
            self._refused += pending.count
            raise SourceError(error.message, hint=_HINTS.get(error.status, error.hint)) from None
        except Expired:
            self._refused += pending.count
        else:
            self.written += 1

    async def _write(self, connection: Sender, pending: Pending) -> None:
        now_s = asyncio.get_running_loop().time()
        path = EVENTS.path(quote(pending.name[0], safe=""))
        before = self._series.of(pending, now_s)
        if before is not None:
            try:
                await connection.send("PATCH", f"{path}/{quote(before.event, safe='')}", continuation(pending, before))
            except Refused as error:
                if error.status != _NOT_FOUND:
                    raise
                self._series.end(pending)
                before = None
            else:
                self._series.note(pending, before.event, before, now_s)
        if before is None:
            event = f"{pending.subject.name}.{secrets.token_hex(8)}"
            await connection.send("POST", path, creation(pending, event, self._node, self._teller))
            self._series.note(pending, event, None, now_s)

    def _known(self, owner: str) -> Metadata | None:
        """Who that is; of a Service that is gone, who it was."""
        subject = self._subject(owner)
        if subject is None:
            return self._subjects.get(owner)
        self._subjects[owner] = subject
        self._subjects.move_to_end(owner)
        if len(self._subjects) > MOST_SUBJECTS:
            self._subjects.popitem(last=False)
        return subject

    def _waiting(self) -> Queue:
        """The queue, made in the running loop: its clock is that loop's."""
        if self._queue is None:
            self._queue = Queue(self._limits, asyncio.get_running_loop().time())
        return self._queue
