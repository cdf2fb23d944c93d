"""What may have changed: keys, never the change itself. A missed wake costs one timer tick, never correctness."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from appliance.model.service import ServiceKey


@dataclass(frozen=True, slots=True)
class Scope:
    """What a pass looks at: everything, or some services.

    ``link`` reads link and routes again; ``canary`` looks whether a few services still stand.
    """

    keys: frozenset[ServiceKey] = frozenset()
    everything: bool = False
    link: bool = False
    canary: bool = False

    @property
    def kind(self) -> str:
        """``full``, ``part`` or ``glance``: how much is to be looked at to begin with."""
        if self.everything:
            return "full"
        return "part" if self.keys or self.link or not self.canary else "glance"


class Wakes:
    """Collects wakes until a pass takes them, all in one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._event = asyncio.Event()
        self._keys: set[ServiceKey] = set()
        self._everything = False
        self._link = False
        self._canary = False
        self._timers: dict[tuple[ServiceKey, ...], tuple[float, asyncio.TimerHandle]] = {}

    def everything(self) -> None:
        """The whole state is to be read and compared."""
        self._everything = True
        self._event.set()

    def link(self) -> None:
        """Something about links, addresses or routes may have changed."""
        self._link = True
        self._event.set()

    def canary(self) -> None:
        """It is time to look whether services still stand."""
        self._canary = True
        self._event.set()

    def again(self, scope: Scope) -> None:
        """What a pass could not look at is looked at by the next one, whatever wakes that."""
        self._keys |= scope.keys
        self._everything |= scope.everything
        self._link |= scope.link

    def services(self, keys: Iterable[ServiceKey]) -> None:
        """These services may have changed; an empty wake runs a pass over nothing but what is pending."""
        self._keys.update(keys)
        self._event.set()

    def services_at(self, at_s: float, *keys: ServiceKey) -> None:
        """As services, at ``at_s`` on the director's clock; of several times for the same keys the first is kept."""
        known = self._timers.get(keys)
        if known is not None and known[0] <= at_s:
            return
        if known is not None:
            known[1].cancel()
        delay_s = max(at_s - self._clock(), 0.0)
        handle = asyncio.get_running_loop().call_later(delay_s, self._ring, keys)
        self._timers[keys] = (at_s, handle)

    def _ring(self, keys: tuple[ServiceKey, ...]) -> None:
        del self._timers[keys]
        self.services(keys)

    def cancel(self) -> None:
        """Forget every wake that is still to come."""
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def take(self) -> Scope:
        """Wait for a wake and take everything that was collected."""
        await self._event.wait()
        self._event.clear()
        scope = Scope(frozenset(self._keys), self._everything, self._link or self._everything, self._canary)
        self._keys.clear()
        self._everything = self._link = self._canary = False
        return scope
