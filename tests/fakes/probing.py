"""A prober in memory: every target answers at once when its turn comes, unless the test says otherwise."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from appliance.errors import KernelError
from appliance.model.address import Address
from appliance.model.check import ProbeAnswer, ProbeResult, ProbeTarget


class FakeProber:
    """Probes every target once in ``interval_s``, one after the other as the real one does.

    ``dead`` backends are silent, ``broken`` has all of them silent, ``unsent`` are those that cannot be asked;
    ``fault`` is told instead of results while it is set. ``asked`` counts the probes.
    """

    def __init__(self, interval_s: float = 1.0) -> None:
        self.interval_s = interval_s
        self.targets: dict[ProbeTarget, None] = {}
        self.dead: set[Address] = set()
        self.unsent: set[Address] = set()
        self.broken = False
        self.fault: KernelError | None = None
        self.asked = 0

    def follow(self, fresh: Iterable[ProbeTarget], gone: Iterable[ProbeTarget]) -> None:
        for target in gone:
            del self.targets[target]
        self.targets |= dict.fromkeys(fresh)

    async def results(self) -> AsyncIterator[Sequence[ProbeResult] | KernelError]:
        while True:
            if not self.targets:
                await asyncio.sleep(self.interval_s)
            for target in list(self.targets):
                await asyncio.sleep(self.interval_s / max(len(self.targets), 1))
                if self.fault is not None:
                    yield self.fault
                elif target in self.targets:
                    self.asked += 1
                    yield [ProbeResult(target, self._answer(target.backend), "EPERM (Operation not permitted)")]

    def _answer(self, backend: Address) -> ProbeAnswer:
        if backend in self.unsent:
            return ProbeAnswer.UNSENT
        return ProbeAnswer.SILENT if self.broken or backend in self.dead else ProbeAnswer.ACCEPTED
