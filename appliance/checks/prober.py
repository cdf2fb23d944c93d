"""Probes backends through the tunnel, as clients reach them: one task and a handful of sockets for all of them.

A probe is a TCP SYN to the VIP inside a tunnel packet to the backend. The backend's SYN-ACK proves what a plain
connection to it cannot: that the tunnel leads there, that the VIP stands on it, and that something listens to the VIP.
Then an RST takes the half-open connection away.
"""

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

from appliance.checks import codec
from appliance.checks.rota import Rota
from appliance.checks.wire import ProbeWire, reason
from appliance.errors import KernelError
from appliance.model.address import Address
from appliance.model.check import ProbeAnswer, ProbeResult, ProbeTarget

LOOK_S = 0.02
"""How often answers are looked for while there are probes on their way."""
REST_S = 0.5
RETRY_S = 5.0
SOURCES_KEPT_S = 10.0
"""How long a source address is used before the routes are asked again."""

_U32 = 0xFFFFFFFF


class Wire(Protocol):
    """What the prober sends and hears by; see ProbeWire."""

    @property
    def mark(self) -> int: ...  # noqa: D102 - ProbeWire documents it
    def source(self, backend: Address) -> Address: ...  # noqa: D102 - as above
    def send(self, packet: bytes, backend: Address) -> None: ...  # noqa: D102 - as above
    def receive(self) -> Iterator[bytes]: ...  # noqa: D102 - as above
    def close(self) -> None: ...  # noqa: D102 - as above


class _Flight(NamedTuple):
    """A probe on its way; ``sequence`` is drawn at random, so that only who got the probe can answer it."""

    target: ProbeTarget
    flow: codec.Flow
    sequence: int
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often to probe; times in seconds.

    Each target is asked every ``interval_s``; an answer may take ``timeout_s``. When one fails that was well, all are
    asked ``retries`` times more, every ``retry_s``. Never more than ``max_per_s`` in all.

    All, since where everything fails at once the prober is the suspect: that shows only if nobody is asked again before
    the others were asked (appliance.decide.panic).
    """

    interval_s: float
    timeout_s: float
    max_per_s: float
    retry_s: float
    retries: int


class TunnelProber:
    """Probes targets in a rhythm. Times are in seconds on ``clock``. Not for use by two threads at once."""

    def __init__(self, rhythm: Rhythm, clock: Callable[[], float], wire: Wire | None = None) -> None:
        self._rota = Rota(rhythm.interval_s, rhythm.max_per_s, rhythm.retry_s)
        self._timeout_s = rhythm.timeout_s
        self._retries = rhythm.retries
        self._failed: set[ProbeTarget] = set()
        self._clock = clock
        self._wire = wire or ProbeWire()
        self._ports = itertools.cycle(range(codec.FIRST_PORT, codec.LAST_PORT + 1))
        self._flights: dict[int, _Flight] = {}
        self._deadlines: deque[_Flight] = deque()
        self._sources: dict[Address, Address] = {}
        self._sources_s = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    @property
    def interval_s(self) -> float:
        """Seconds between two probes of one target as things stand."""
        return self._rota.interval_s

    def follow(self, fresh: Iterable[ProbeTarget], gone: Iterable[ProbeTarget]) -> None:
        """Probe ``fresh`` targets too, and those that are ``gone`` no more."""
        gone = tuple(gone)
        self._failed.difference_update(gone)
        self._rota.remove(gone)
        self._rota.add(fresh)

    async def results(self) -> AsyncIterator[Sequence[ProbeResult] | KernelError]:
        """What comes of the probes, as it comes; an error while there can be no probes, which are tried again."""
        while True:
            try:
                found = self._turn(self._clock())
            except KernelError as error:
                self._wire.close()
                self._flights.clear()
                self._deadlines.clear()
                yield error
                await asyncio.sleep(RETRY_S)
                continue
            if found:
                yield found
            await asyncio.sleep(self._pause_s())

    def _turn(self, now_s: float) -> list[ProbeResult]:
        """Hear, give up, ask: in this order, so that a loop that was busy does not take waiting answers for silence."""
        found = [*self._hear(), *self._give_up(now_s)]
        self._doubt(found, now_s)
        for target in self._rota.due(now_s):
            try:
                self._ask(target, now_s)
            except OSError as error:
                found.append(ProbeResult(target, ProbeAnswer.UNSENT, reason(error)))
        return found

    def _doubt(self, results: Iterable[ProbeResult], now_s: float) -> None:
        """Ask again soon where a target has failed that was well."""
        for result in results:
            if result.answer is ProbeAnswer.ACCEPTED:
                self._failed.discard(result.target)
            elif result.target not in self._failed:
                self._failed.add(result.target)
                self._rota.hurry(self._retries, now_s)

    def _pause_s(self) -> float:
        return LOOK_S if self._flights else min(max(self._rota.next_in_s(), LOOK_S), REST_S)

    def _ask(self, target: ProbeTarget, now_s: float) -> None:
        source = self._source(target.backend, now_s)
        flow = codec.flow(source, next(self._ports), target.key.vip, target.key.port)
        sequence = self._fresh_sequence()
        flight = _Flight(target, flow, sequence, now_s + self._timeout_s)
        self._wire.send(codec.segment(flow, sequence, codec.SYN), target.backend)
        self._flights[sequence] = flight
        self._deadlines.append(flight)

    def _fresh_sequence(self) -> int:
        """A number that no probe on its way has, random but for the mark that the answers are picked out by."""
        while (sequence := secrets.randbits(16) << 16 | self._wire.mark) in self._flights:
            pass
        return sequence

    def _source(self, backend: Address, now_s: float) -> Address:
        if now_s - self._sources_s > SOURCES_KEPT_S:
            self._sources.clear()
            self._sources_s = now_s
        source = self._sources.get(backend)
        if source is None:
            source = self._sources[backend] = self._wire.source(backend)
        return source

    def _hear(self) -> Iterator[ProbeResult]:
        for packet in self._wire.receive():
            reply = codec.parse(packet)
            flight = self._flights.get(reply.acknowledgement - 1 & _U32) if reply is not None else None
            if reply is None or flight is None or reply.flow != flight.flow:
                continue
            del self._flights[flight.sequence]
            if reply.accepts:
                self._take_back(flight)
            answer = ProbeAnswer.ACCEPTED if reply.accepts else ProbeAnswer.REFUSED
            if flight.target in self._rota:
                yield ProbeResult(flight.target, answer)

    def _give_up(self, now_s: float) -> Iterator[ProbeResult]:
        while self._deadlines and self._deadlines[0].deadline_s <= now_s:
            flight = self._deadlines.popleft()
            if self._flights.get(flight.sequence) is flight:
                del self._flights[flight.sequence]
                # Where only the answer was lost, the server has a connection half open, one more with each probe.
                self._take_back(flight)
                if flight.target in self._rota:
                    yield ProbeResult(flight.target, ProbeAnswer.SILENT)

    def _take_back(self, flight: _Flight) -> None:
        """Have the server forget the probe; what stays half open when this is lost, it gives up by itself."""
        with suppress(OSError):
            reset = codec.segment(flight.flow, flight.sequence + 1 & _U32, codec.RST)
            self._wire.send(reset, flight.target.backend)
