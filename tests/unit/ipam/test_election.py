"""Who leads, on virtual time: never two, and never longer than can be proven."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from appliance.decide.lead import Sighting, bid, sight
from appliance.errors import SourceError
from appliance.ipam.election import Elector, Terms
from appliance.model.lease import LeaseRecord

TERMS = Terms(duration_s=15, renew_within_s=10.0, retry_s=2.0)
THEIRS = LeaseRecord("other", 15, version="3")


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer as soon as nothing is left to do."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        select = self._selector.select  # type: ignore[attr-defined]  # as BaseSelectorEventLoop has it

        def jump(timeout: float | None) -> Any:
            self.now_s += timeout or 0.0
            return select(0)

        self._selector.select = jump  # type: ignore[attr-defined]  # as above

    def time(self) -> float:
        return self.now_s


class FakeLease:
    """A Lease in memory; ``fails`` makes it unreachable, ``hangs`` silent."""

    def __init__(self, record: LeaseRecord | None = None) -> None:
        self.record = record
        self.fails = self.hangs = False
        self.writes: list[str] = []

    async def read(self) -> LeaseRecord | None:
        await self._reach()
        return self.record

    async def write(self, wanted: LeaseRecord) -> LeaseRecord | None:
        await self._reach()
        if wanted.version != (self.record.version if self.record else ""):
            return None
        self.record = replace(wanted, version=str(int(wanted.version or 0) + 1))
        self.writes.append(wanted.holder)
        return self.record

    async def _reach(self) -> None:
        if self.fails:
            raise SourceError("away")
        if self.hangs:
            await asyncio.Event().wait()


class Worker:
    """Work that says when it is under way."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self.runs = False

    async def __call__(self) -> None:
        begun_s = asyncio.get_running_loop().time()
        self.runs = True
        try:
            await asyncio.Event().wait()
        finally:
            self.runs = False
            self.spans.append((begun_s, asyncio.get_running_loop().time()))


def play(story: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(story(loop))
    finally:
        loop.close()


def elector(lease: FakeLease, loop: VirtualLoop, me: str = "me") -> Elector:
    return Elector(lease, TERMS, me, loop.time)


async def lead_for(candidate: Elector, worker: Worker, seconds: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await candidate.lead(worker, stop)


@pytest.mark.parametrize(
    ("record", "age_s", "expected"),
    [
        pytest.param(None, 0, LeaseRecord("me", 15), id="none: taken"),
        pytest.param(replace(THEIRS, holder="me"), 0, LeaseRecord("me", 15, version="3"), id="mine: renewed"),
        pytest.param(THEIRS, 14.9, None, id="another's, young: waited for"),
        pytest.param(THEIRS, 15, LeaseRecord("me", 15, 1, version="3"), id="another's, silent: taken"),
        pytest.param(replace(THEIRS, duration_s=60), 59, None, id="another's longer one: waited for"),
        pytest.param(replace(THEIRS, holder=""), 0, LeaseRecord("me", 15, 1, version="3"), id="released: taken"),
    ],
)
def test_a_candidate_bids(record: LeaseRecord | None, age_s: float, expected: LeaseRecord | None) -> None:
    assert bid(Sighting(record, 100.0), "me", 15, 100.0 + age_s) == expected


def test_the_age_of_a_lease_counts_from_when_this_version_was_first_seen() -> None:
    first = sight(None, THEIRS, 1.0)
    assert sight(first, THEIRS, 9.0) is first
    assert sight(first, replace(THEIRS, version="4"), 9.0).seen_s == 9.0


def test_a_leader_renews_and_lets_go_when_it_is_told_to_stop() -> None:
    lease, worker = FakeLease(), Worker()

    async def story(loop: VirtualLoop) -> None:
        await lead_for(elector(lease, loop), worker, 60.0)

    play(story)
    assert worker.spans == [(0.0, 60.0)]
    assert lease.record is not None
    assert (lease.record.holder, lease.record.duration_s) == ("", 1)


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
def test_a_leader_that_cannot_renew_stops_before_anybody_else_may_lead(trouble: str) -> None:
    lease, worker = FakeLease(), Worker()

    async def story(loop: VirtualLoop) -> None:
        candidate = elector(lease, loop)
        loop.call_later(20.0, setattr, lease, trouble, True)
        await lead_for(candidate, worker, 60.0)
        assert candidate.error is not None

    play(story)
    ((begun_s, ended_s),) = worker.spans
    assert begun_s == 0.0
    assert 20.0 <= ended_s <= 20.0 + TERMS.renew_within_s + 0.01


class Fence:
    """When this process would be ended, on the loop's clock; None for never."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.at_s: float | None = None

    def __call__(self, seconds: float) -> None:
        assert self.at_s is None or self._loop.time() < self.at_s, "it would have been ended"
        self.at_s = self._loop.time() + seconds if seconds else None


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
def test_who_leads_is_ended_before_others_may_lead_unless_it_stops_by_itself(trouble: str) -> None:
    """The time between the two is there for it to stop, so that neither an outage nor a release comes to it."""
    lease, worker = FakeLease(), Worker()

    async def story(loop: VirtualLoop) -> None:
        fence = Fence(loop)
        candidate = Elector(lease, TERMS, "me", loop.time, end_in=fence)
        loop.call_later(20.0, setattr, lease, trouble, True)
        leading = asyncio.create_task(lead_for(candidate, worker, 60.0))
        while not worker.spans:
            await asyncio.sleep(0.1)
            assert worker.spans or fence.at_s is not None
            assert fence.at_s is None or fence.at_s <= loop.time() + TERMS.duration_s
        assert fence.at_s is None
        setattr(lease, trouble, False)
        await leading
        assert fence.at_s is None

    play(story)
    assert len(worker.spans) == 2


def test_a_leader_whose_lease_was_taken_stops_with_its_next_reading() -> None:
    lease, worker = FakeLease(), Worker()

    async def story(loop: VirtualLoop) -> None:
        loop.call_later(20.0, lambda: setattr(lease, "record", THEIRS))
        await lead_for(elector(lease, loop), worker, 30.0)

    play(story)
    assert worker.spans[0][1] <= 22.1
    assert lease.record == THEIRS


def test_another_takes_over_from_one_who_is_silent_and_at_once_from_one_who_let_go() -> None:
    silent, released = FakeLease(THEIRS), FakeLease(replace(THEIRS, holder=""))
    waiting, eager = Worker(), Worker()

    async def story(loop: VirtualLoop) -> None:
        await asyncio.gather(
            lead_for(elector(silent, loop), waiting, 40.0), lead_for(elector(released, loop), eager, 40.0)
        )

    play(story)
    assert 15.0 <= waiting.spans[0][0] <= 17.1
    assert eager.spans[0][0] == 0.0


def test_of_many_candidates_one_leads_at_a_time_whoever_is_cut_off() -> None:
    lease = FakeLease()
    workers = [Worker() for _ in range(3)]

    async def story(loop: VirtualLoop) -> None:
        def cut_off(me: int) -> FakeLease:
            view = FakeLease()

            async def reach() -> None:
                if int(loop.time() / 37) % 3 == me:
                    raise SourceError("cut off")

            view._reach = reach  # type: ignore[method-assign]  # this candidate's own trouble
            view.read = lambda: through(view, lease.read)  # type: ignore[method-assign]  # as above
            view.write = lambda wanted: through(view, lambda: lease.write(wanted))  # type: ignore[method-assign]
            return view

        async def through(view: FakeLease, do: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
            await view._reach()
            return await do()

        candidates = [elector(cut_off(number), loop, f"c{number}") for number in range(3)]
        tasks = [
            asyncio.create_task(lead_for(one, worker, 400.0)) for one, worker in zip(candidates, workers, strict=True)
        ]
        for _ in range(4000):
            await asyncio.sleep(0.1)
            assert sum(worker.runs for worker in workers) <= 1
            assert sum(one.left_s > 0 for one in candidates) <= 1
        await asyncio.gather(*tasks)

    play(story)
    assert all(worker.spans for worker in workers)


def test_a_bug_in_the_work_ends_the_process() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    async def story(loop: VirtualLoop) -> None:
        with pytest.raises(ZeroDivisionError):
            await elector(FakeLease(), loop).lead(broken, asyncio.Event())

    play(story)
