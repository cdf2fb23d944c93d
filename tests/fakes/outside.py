"""Fakes of what lies outside the kernel: BIRD as the loop sees it, a source, the link monitor, and time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from appliance.errors import BirdError, SourceError
from appliance.model.address import Address
from appliance.model.desired import Snapshot
from appliance.model.routing import Announcement, PeerView, Routing


class FakeRouter:
    """BIRD with two established peers that is told and read like the real one.

    ``history`` holds every set of VIPs it was told, in order, ``told`` the whole of the latest; ``fault`` is raised
    instead of an answer while it is set, ``refusal`` where it is to take over its configuration;
    ``deaf`` keeps the old routes although it says yes.
    """

    def __init__(self, held: frozenset[Address] = frozenset()) -> None:
        self.held = held
        self.depreferred: frozenset[Address] = frozenset()
        self.told = Announcement(held)
        self.history: list[frozenset[Address]] = []
        self.observations = 0
        self.installs = 0
        self.fault: BirdError | None = None
        self.refusal: BirdError | None = None
        self.deaf = False
        self.wait_s = 0.0
        self.disabled: frozenset[str] = frozenset()
        self._restarts: asyncio.Queue[None] = asyncio.Queue()

    async def install(self) -> None:
        self.installs += 1
        fault = self.fault or self.refusal
        if fault is not None:
            raise fault

    async def observe(self) -> Routing:
        if self.fault is not None:
            raise self.fault
        self.observations += 1
        peers = tuple(
            PeerView(name, established=True, state="Established", exported=self.held) for name in ("r1", "r2")
        )
        return Routing("2.17", self.held, self.depreferred, peers, self.disabled)

    async def publish(self, announcement: Announcement) -> Routing:
        if self.fault is not None:
            raise self.fault
        self.history.append(announcement.vips)
        self.told = announcement
        if not self.deaf:
            self.held, self.depreferred = announcement.vips, announcement.depreferred
            self.disabled = frozenset()
        return await self.observe()

    def restart(self) -> None:
        """Have it noticed that BIRD was started anew."""
        self._restarts.put_nowait(None)

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await self._restarts.get()
            yield

    def ready_in_s(self, now_s: float) -> float:  # noqa: ARG002 - the port's signature
        return self.wait_s


class FakeSource:
    """A source that says what the test makes it say."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[Snapshot | SourceError] = asyncio.Queue()

    def say(self, item: Snapshot | SourceError) -> None:
        self._items.put_nowait(item)

    async def snapshots(self) -> AsyncIterator[Snapshot | SourceError]:
        while True:
            yield await self._items.get()


class FakeMonitor:
    """A link monitor that reports when the test says so."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[None] = asyncio.Queue()

    def report(self) -> None:
        self._events.put_nowait(None)

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await self._events.get()
            yield


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer as soon as nothing else is to be done."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 1000.0
        self.set_default_executor(_Inline())

    def time(self) -> float:
        return self._now_s

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]  # no public way to jump a loop's time
            timers = self._scheduled  # type: ignore[attr-defined]  # as above
            # Those that were cancelled stay in the queue for a while: to jump to one of them would not be far enough.
            self._now_s = max(self._now_s, min((each.when() for each in timers if not each.cancelled()), default=0.0))
        super()._run_once()  # type: ignore[misc]  # as above


class _Inline(ThreadPoolExecutor):
    """Runs what would go to a thread at once, so that time stands still meanwhile."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - handed on through the future, as an executor does
            future.set_exception(error)
        return future
