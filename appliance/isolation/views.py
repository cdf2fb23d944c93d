"""What a director with a namespace of its own sees as its link, its routes, its monitor and its settings.

Each is that of the namespace together with what the host has to do with it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from appliance.model.address import Address, Network
from appliance.model.host import Change, Changed
from appliance.model.observed import ObservedLink
from appliance.model.plan import AddressStep, StepResult


class Link(Protocol):
    """The link that carries the VIPs, in the namespace."""

    def dump(self) -> ObservedLink: ...  # noqa: D102 - appliance.vips.kernel documents it
    def exists(self, name: str) -> bool: ...  # noqa: D102 - as above
    def apply(self, steps: Sequence[AddressStep]) -> tuple[StepResult, ...]: ...  # noqa: D102 - as above


class Kept(Protocol):
    """What was put in order, in words, and why the rest could not be."""

    @property
    def made(self) -> tuple[str, ...]: ...  # noqa: D102 - appliance.isolation.kernel documents it
    @property
    def refused(self) -> str: ...  # noqa: D102 - as above


class Way(Protocol):
    """The way into the namespace."""

    def keep(self) -> Kept: ...  # noqa: D102 - PassageKernel documents it
    def cut(self, vips: Collection[Address]) -> Mapping[Address, str]: ...  # noqa: D102 - as above


class Routes(Protocol):
    """Look-ups of one namespace."""

    def path_mtus(self, subnets: Collection[Network]) -> dict[Network, int]: ...  # noqa: D102 - appliance.routes.kernel


class Settings(Protocol):
    """Settings of one namespace."""

    def differing(self) -> tuple[Change, ...]: ...  # noqa: D102 - appliance.host.settings documents it
    def change(self, wanted: Iterable[Change]) -> Changed: ...  # noqa: D102 - as above


class IsolatedLink:
    """The link in the namespace, and the way to it: each reading first puts that in order.

    ``tell`` hears what was put in order, in words.
    """

    def __init__(self, link: Link, way: Way, tell: Callable[[str], None]) -> None:
        self._link = link
        self._way = way
        self._tell = tell

    def dump(self) -> ObservedLink:
        """The link, with the VIPs on it that packets do not get to, and why.

        Raises:
            KernelError: a reading failed.
        """
        observed = self._link.dump()
        kept = self._way.keep()
        if kept.made:
            self._tell(", ".join(kept.made))
        if kept.refused:
            reason = f"there is no way into the namespace: {kept.refused}"
            return replace(observed, cut=dict.fromkeys(observed.addresses, reason))
        return replace(observed, cut=self._way.cut(observed.addresses))

    def exists(self, name: str) -> bool:
        """Whether there is a link of this name in the namespace.

        Raises:
            KernelError: the kernel refused to say.
        """
        return self._link.exists(name)

    def apply(self, steps: Sequence[AddressStep]) -> tuple[StepResult, ...]:
        """Carry out ``steps`` in the namespace.

        Raises:
            KernelError: the kernel takes no requests at all.
        """
        return self._link.apply(steps)


class IsolatedRoutes:
    """Routes to backends: a tunnel packet leaves the namespace by its default route, and the host by one of its own."""

    def __init__(self, inside: Routes, outside: Routes) -> None:
        self._both = inside, outside

    def path_mtus(self, subnets: Collection[Network]) -> dict[Network, int]:
        """The largest packet in bytes that gets to each of ``subnets``; those without a route on one side are missing.

        Raises:
            KernelError: an answer is missing or says neither yes nor no.
        """
        inside, outside = (routes.path_mtus(subnets) for routes in self._both)
        return {subnet: min(mtu, outside[subnet]) for subnet, mtu in inside.items() if subnet in outside}


class IsolatedSettings:
    """Settings of the namespace and of the host, as one; no key is wanted on both sides."""

    def __init__(self, inside: Settings, outside: Settings) -> None:
        self._inside = inside
        self._outside = outside

    def differing(self) -> tuple[Change, ...]:
        """What would have to change now, on either side."""
        return (*self._inside.differing(), *self._outside.differing())

    def change(self, wanted: Iterable[Change]) -> Changed:
        """Make these changes, each on its side."""
        ours = frozenset(self._inside.differing())
        changes = tuple(wanted)
        inside = self._inside.change(each for each in changes if each in ours)
        outside = self._outside.change(each for each in changes if each not in ours)
        return Changed(
            (*inside.made, *outside.made),
            {**inside.refused, **outside.refused},
            inside.unrecorded or outside.unrecorded,
        )


class Monitor(Protocol):
    """Tells that a link, an address or a route of one namespace changed."""

    def changes(self) -> AsyncIterator[None]: ...  # noqa: D102 - appliance.vips.kernel documents it


class BothMonitors:
    """Tells of changes in the namespace and on the host alike."""

    def __init__(self, *monitors: Monitor) -> None:
        self._monitors = monitors

    async def changes(self) -> AsyncIterator[None]:
        """Yield once for any number of changes since the last time.

        Raises:
            KernelError: one of the subscriptions has ended.
        """
        changed = asyncio.Event()
        listeners = [asyncio.create_task(_listen(each, changed)) for each in self._monitors]
        try:
            while True:
                await _either(changed, listeners)
                changed.clear()
                yield
        finally:
            for each in listeners:
                each.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)


async def _either(changed: asyncio.Event, listeners: Collection[asyncio.Task[None]]) -> None:
    """Wait for a change, or for a listener that ended: then its error is raised."""
    woken = asyncio.create_task(_hear(changed))
    try:
        await asyncio.wait([woken, *listeners], return_when=asyncio.FIRST_COMPLETED)
        for each in listeners:
            if each.done():
                each.result()
    finally:
        woken.cancel()


async def _hear(changed: asyncio.Event) -> None:
    await changed.wait()


async def _listen(monitor: Monitor, changed: asyncio.Event) -> None:
    async for _ in monitor.changes():
        changed.set()
