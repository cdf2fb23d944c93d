"""The prober on virtual time and a network that the test makes."""

import asyncio
import errno
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from ipaddress import ip_address
from typing import Any

import pytest

from appliance.checks.prober import RETRY_S, SOURCES_KEPT_S, Rhythm, TunnelProber
from appliance.errors import KernelError
from appliance.model.address import Address
from appliance.model.check import ProbeAnswer, ProbeResult, ProbeTarget
from appliance.model.service import Protocol, ServiceKey
from tests.fakes.outside import VirtualTimeLoop
from tests.unit.checks.replies import ACK, RST, SYN, Asked, answer, read

NODE4, NODE6 = ip_address("10.0.11.2"), ip_address("2001:db8:0:11::2")
WEB = ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80)
WEB6 = ServiceKey(ip_address("2001:db8:50::1"), Protocol.TCP, 443)
ONE, TWO, SIX = (
    ProbeTarget(WEB, ip_address("10.1.0.1")),
    ProbeTarget(WEB, ip_address("10.1.0.2")),
    ProbeTarget(WEB6, ip_address("2001:db8:1::1")),
)
Item = Sequence[ProbeResult] | KernelError


class FakeWire:
    """Servers that answer at once, as ``flags`` says by backend; None is silence. ``forge`` answers beside them."""

    mark = 0x1234

    def __init__(self) -> None:
        self.flags: dict[Address, int | None] = {}
        self.errors: dict[Address, int] = {}
        self.fault: KernelError | None = None
        self.delayed = False
        self.forge: Callable[[Asked], list[bytes]] = lambda _: []
        self.asked: list[tuple[Address, Asked]] = []
        self.waiting: list[bytes] = []
        self.closed = 0
        self.sources = 0

    def source(self, backend: Address) -> Address:
        self.sources += 1
        return NODE4 if backend.version == 4 else NODE6

    def send(self, packet: bytes, backend: Address) -> None:
        if self.fault is not None:
            raise self.fault
        if backend in self.errors:
            raise OSError(self.errors[backend], os.strerror(self.errors[backend]))
        asked = read(packet)
        self.asked.append((backend, asked))
        flags = self.flags.get(backend, SYN | ACK)
        self.waiting += self.forge(asked) if asked.flags == SYN else []
        if asked.flags == SYN and flags is not None:
            self.waiting.append(answer(asked, flags))

    def receive(self) -> Iterator[bytes]:
        if not self.delayed:
            while self.waiting:
                yield self.waiting.pop(0)

    def close(self) -> None:
        self.closed += 1

    def probes(self, backend: Address) -> list[Asked]:
        return [asked for to, asked in self.asked if to == backend and asked.flags == SYN]


def play(
    story: Callable[[FakeWire, TunnelProber], Coroutine[Any, Any, None]],
    max_per_s: float = 1000.0,
    retry_s: float = 1.0,
) -> None:
    async def run() -> None:
        wire = FakeWire()
        prober = TunnelProber(Rhythm(1.0, 0.5, max_per_s, retry_s, 2), asyncio.get_running_loop().time, wire)
        await story(wire, prober)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())


async def collect(prober: TunnelProber, for_s: float) -> list[ProbeResult]:
    """Every result of the next ``for_s`` seconds; errors are left out."""
    found: list[ProbeResult] = []
    async with aclosing(_until(prober, asyncio.get_running_loop().time() + for_s)) as items:
        async for item in items:
            found.extend([] if isinstance(item, KernelError) else item)
    return found


async def _until(prober: TunnelProber, until_s: float) -> AsyncGenerator[Item, None]:
    async with aclosing(prober.results()) as results:  # type: ignore[type-var]  # an async generator behind its interface
        while True:
            try:
                async with asyncio.timeout_at(until_s):
                    item = await anext(results)
            except TimeoutError:
                return
            yield item


def answers(results: list[ProbeResult], target: ProbeTarget) -> list[ProbeAnswer]:
    return [each.answer for each in results if each.target == target]


def test_each_target_is_probed_once_in_an_interval_and_its_answer_told() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE, TWO, SIX], [])
        wire.flags[TWO.backend] = RST | ACK
        wire.flags[SIX.backend] = None
        results = await collect(prober, 10.0)
        assert answers(results, ONE) == [ProbeAnswer.ACCEPTED] * 10
        assert answers(results, TWO) == [ProbeAnswer.REFUSED] * 10
        assert len(answers(results, SIX)) in (9, 10)
        assert set(answers(results, SIX)) == {ProbeAnswer.SILENT}

    play(story)


def test_an_accepted_probe_is_taken_back_through_the_tunnel() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE, TWO], [])
        wire.flags[TWO.backend] = RST | ACK
        await collect(prober, 0.9)
        (to, probe), (_, refused), (again, end) = sorted(wire.asked, key=lambda each: each[1].flags)
        assert (to, again) == (ONE.backend, ONE.backend)
        assert end == probe._replace(sequence=(probe.sequence + 1) % 2**32, flags=RST)
        assert refused.vip == WEB.vip

    play(story)


def test_a_probe_without_an_answer_is_taken_back_too() -> None:
    """If only the answer was lost, the server has a connection half open."""

    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE], [])
        wire.flags[ONE.backend] = None
        await collect(prober, 0.9)
        [(_, probe), (to, end)] = wire.asked
        assert to == ONE.backend
        assert end == probe._replace(sequence=(probe.sequence + 1) % 2**32, flags=RST)

    play(story)


def test_every_probe_has_a_port_and_a_number_of_its_own() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE], [])
        await collect(prober, 60.0)
        probes = wire.probes(ONE.backend)
        assert len({each.source_port for each in probes}) == len(probes) > 50
        assert len({each.sequence for each in probes}) == len(probes)
        assert all(61000 <= each.source_port <= 65535 for each in probes)

    play(story)


def test_answers_that_do_not_fit_count_for_nothing() -> None:
    """Somebody who did not get the probe does not know its number; somebody with the number has to be the VIP."""

    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE], [])
        wire.flags[ONE.backend] = None

        wire.forge = lambda asked: [
            answer(asked, acknowledgement=(asked.sequence + 2) % 2**32),
            answer(asked, acknowledgement=(asked.sequence + 1 + 2**16) % 2**32),
            answer(asked._replace(port=81)),
            answer(asked._replace(source_port=asked.source_port ^ 1)),
            answer(asked._replace(source=ip_address("10.0.11.3"))),
            answer(asked._replace(vip=ip_address("10.50.0.2"))),
            b"\x45rubbish",
        ]
        results = await collect(prober, 10.0)
        assert set(answers(results, ONE)) == {ProbeAnswer.SILENT}

    play(story)


def test_an_answer_counts_once() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE], [])
        wire.forge = lambda asked: [answer(asked)]
        results = await collect(prober, 5.0)
        assert answers(results, ONE) == [ProbeAnswer.ACCEPTED] * 5

    play(story)


def test_a_loop_that_was_busy_takes_no_waiting_answer_for_silence() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE], [])
        wire.delayed = True
        task = asyncio.create_task(collect(prober, 5.0))
        await asyncio.sleep(0.3)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop._now_s += 3.0
        wire.delayed = False
        found = answers(await task, ONE)
        assert len(found) > 1
        assert set(found) == {ProbeAnswer.ACCEPTED}

    play(story)


def test_a_probe_that_cannot_be_sent_is_told_with_its_reason_and_the_others_go_on() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE, TWO], [])
        wire.errors[TWO.backend] = errno.ENETUNREACH
        results = await collect(prober, 3.0)
        assert set(answers(results, ONE)) == {ProbeAnswer.ACCEPTED}
        assert set(answers(results, TWO)) == {ProbeAnswer.UNSENT}
        assert {each.detail for each in results if each.target == TWO} == {"ENETUNREACH (Network is unreachable)"}

    play(story)


def test_without_sockets_there_is_an_error_and_another_try_later() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE], [])
        wire.fault = KernelError("open", "probe sockets for IPv4", errno.EPERM)
        async with aclosing(prober.results()) as results:  # type: ignore[type-var]  # as above
            loop = asyncio.get_running_loop()
            assert await anext(results) is wire.fault
            started_s = loop.time()
            assert await anext(results) is wire.fault
            assert loop.time() - started_s >= RETRY_S
            assert wire.closed == 2
            wire.fault = None
            assert await anext(results) == [ProbeResult(ONE, ProbeAnswer.ACCEPTED)]

    play(story)


@pytest.mark.parametrize("flags", [None, SYN | ACK], ids=["silent", "answering late"])
def test_a_target_that_is_gone_is_heard_of_no_more(flags: int | None) -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE, TWO], [])
        wire.flags[ONE.backend] = flags
        wire.delayed = True
        await collect(prober, 0.3)
        wire.delayed = False
        prober.follow([], [ONE])
        results = await collect(prober, 5.0)
        assert not answers(results, ONE)
        assert set(answers(results, TWO)) == {ProbeAnswer.ACCEPTED}
        assert len(wire.probes(ONE.backend)) == 1

    play(story)


def test_the_limit_on_probes_stretches_the_interval() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ProbeTarget(WEB, ip_address(0x0A010000 + each)) for each in range(100)], [])
        assert prober.interval_s == 10.0
        results = await collect(prober, 20.0)
        assert len(results) == sum(asked.flags == SYN for _, asked in wire.asked)
        assert 198 <= len(results) <= 201
        assert set(Counter(each.target for each in results).values()) <= {1, 2, 3}

    play(story, max_per_s=10.0)


def test_the_routes_are_asked_for_the_source_now_and_then() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE], [])
        await collect(prober, 5 * SOURCES_KEPT_S)
        assert 4 <= wire.sources <= 6

    play(story)


def fell(results: list[ProbeResult], target: ProbeTarget) -> list[ProbeAnswer]:
    return [each.answer for each in results if each.target == target and each.answer is not ProbeAnswer.ACCEPTED]


def test_after_a_first_failure_the_others_come_soon() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE, TWO], ())
        await collect(prober, 3.0)
        wire.flags[ONE.backend] = RST
        first = await _until_failed(prober)
        assert first < 1.1
        assert len(fell(await collect(prober, 0.3), ONE)) == 2, "fall is 3: two more of them, 0.1 s apart"

    play(story, retry_s=0.1)


def test_who_stays_dead_is_asked_at_the_usual_pace() -> None:
    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow([ONE, TWO], ())
        wire.flags[ONE.backend] = RST
        await collect(prober, 3.0)
        before = len(wire.probes(ONE.backend))
        await collect(prober, 10.0)
        assert 9 <= len(wire.probes(ONE.backend)) - before <= 11

    play(story, retry_s=0.1)


def test_where_everybody_falls_silent_nobody_is_asked_again_before_all_others_were_and_the_load_is_soon_as_before() -> (
    None
):
    many = [ProbeTarget(WEB, ip_address(f"10.1.1.{number}")) for number in range(50)]

    async def story(wire: FakeWire, prober: TunnelProber) -> None:
        prober.follow(many, ())
        await collect(prober, 3.0)
        wire.asked.clear()
        wire.flags = {each.backend: None for each in many}
        failed = Counter[ProbeTarget]()
        for result in await collect(prober, 4.0):
            failed[result.target] += result.answer is ProbeAnswer.SILENT
            assert max(failed.values()) - min(failed[each] for each in many) <= 1
        assert len(wire.asked) <= 2 * 50 * (4 + 2), "a SYN and an RST each: two rounds more than usual"
        assert min(failed.values()) >= 4

    play(story, retry_s=0.1)


async def _until_failed(prober: TunnelProber) -> float:
    """Seconds until something failed."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    while all(each.answer is ProbeAnswer.ACCEPTED for each in await collect(prober, 0.05)):
        assert loop.time() - started_s < 10.0
    return loop.time() - started_s
