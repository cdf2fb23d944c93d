"""A scrape: the counters of IPVS read in a thread, then text made of them a piece at a time.

The loop goes on meanwhile. Reading waits for the kernel between any two services, and each piece of text takes less
than a millisecond: whoever else wants the interpreter gets it in between.
"""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import chain
from operator import attrgetter

from appliance.director import figures
from appliance.director.context import Context
from appliance.director.ports import Counting, GuardCounting
from appliance.errors import KernelError
from appliance.model.counters import DestinationCounters
from appliance.model.desired import Backend, DesiredService
from appliance.model.guard import GuardCounts
from appliance.model.service import ServiceKey
from appliance.telemetry import messages, metrics, process
from appliance.telemetry.exposition import Family, labels, pairs, text
from appliance.telemetry.metrics import DESTINATION_LABELS, DESTINATION_METRICS, SERVICE_LABELS, SERVICE_METRICS, Metric

_totals = attrgetter(*(row.field for row in metrics.TOTALS))
_connections = attrgetter(*(row.field for row in metrics.CONNECTIONS))
_ENDPOINT_LABELS = DESTINATION_LABELS[len(SERVICE_LABELS) :]
# A backend that has left its service and drains.
_UNKNOWN = Backend(IPv4Address(0))
_DESIRED: Mapping[ServiceKey, DesiredService] = {}


class Rows:
    """Labels, each with a figure for each of ``metrics``.

    The figures of a service lie in one array: tens of thousands of tuples would have the garbage collector look at all
    that the director holds, which takes longer than any piece of a scrape.
    """

    def __init__(self, metrics: tuple[Metric, ...]) -> None:
        self.behind: list[str] = []
        self._metrics = metrics
        self._figures: list[array[int]] = []

    def add(self, behind: Iterable[str], figures: Iterable[Iterable[int]]) -> None:
        """Some more rows."""
        self.behind += behind
        self._figures.append(array("Q", chain.from_iterable(figures)))

    def families(self) -> Iterator[Family]:
        """A family for each column."""
        for index, metric in enumerate(self._metrics):
            yield Family(metric, zip(self.behind, self._column(index), strict=True))

    def _column(self, index: int) -> Iterator[int]:
        return chain.from_iterable(each[index :: len(self._metrics)] for each in self._figures)


@dataclass(frozen=True, slots=True)
class Table:
    """One reading of the counters: rows of the desired services, and how many services there are in all."""

    services: Rows
    destinations: Rows
    standing: int
    took_ns: int


class Scraper:
    """Answers scrapes. Those that come while the kernel is being read share that reading."""

    def __init__(
        self,
        context: Context,
        counting: Counting,
        version: str,
        *,
        destinations: bool = True,
        guard: GuardCounting | None = None,
    ) -> None:
        self._context = context
        self._counting = counting
        self._version = version
        self._destinations = destinations
        self._guard = guard
        self._reading: asyncio.Task[tuple[Table | None, GuardCounts | None]] | None = None

    async def scrape(self) -> Iterator[str]:
        """The text of all metrics, in pieces that are made as they are taken."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="counters")
            self._reading.add_done_callback(self._done)
        # A client that leaves takes the reading away from nobody.
        table, counts = await asyncio.shield(self._reading)
        return text(chain(self._families(table), _guard_families(counts)))

    async def close(self) -> None:
        """Wait for the reading at hand: its thread uses a socket that is closed next."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    def _done(self, _: object) -> None:
        self._reading = None

    async def _read(self) -> tuple[Table | None, GuardCounts | None]:
        return await self._read_services(), await self._read_guard()

    async def _read_guard(self) -> GuardCounts | None:
        if self._guard is None:
            return None
        try:
            counts = await asyncio.to_thread(self._guard.counts)
        except KernelError as error:
            self._context.standing.begin(messages.COUNTERS, f"no counts of the guard for metrics: {error}", "guard")
            return None
        self._context.standing.end(messages.COUNTERS, "guard")
        return counts

    async def _read_services(self) -> Table | None:
        context = self._context
        desired = context.memory.desired.services if context.memory.desired else _DESIRED
        try:
            table = await asyncio.to_thread(self._table, desired, context.settings.node)
        except KernelError as error:
            context.standing.begin(messages.COUNTERS, f"no counters for metrics: {error}")
            return None
        context.standing.end(messages.COUNTERS)
        return table

    def _table(self, desired: Mapping[ServiceKey, DesiredService], node: str) -> Table:
        return read(self._counting, desired, node, destinations=self._destinations)

    def _families(self, table: Table | None) -> Iterator[Family]:
        yield from figures.families(self._context, self._version)
        yield from process.families()
        yield Family(metrics.COUNTERS_READ, [("", int(table is not None))])
        if table is not None:
            host = labels(("hostname",), (self._context.settings.node,))
            yield Family(metrics.IPVS_SERVICES, [(host, table.standing)])
            yield Family(metrics.EXPORT_TIME, [(host, table.took_ns)])
            yield from table.services.families()
            yield from table.destinations.families()


def _guard_families(counts: GuardCounts | None) -> Iterator[Family]:
    if counts is None:
        return
    for metric, each in ((metrics.GUARD_REFUSED, counts.refused), (metrics.GUARD_LIMITED, counts.limited)):
        yield Family(metric, ((f'{{vip="{vip}"}}', packets) for vip, packets in each.items()))
    yield Family(metrics.GUARD_UNSERVED, [("", counts.unserved)])
    yield Family(metrics.GUARD_SPOOFED, [("", counts.spoofed)])


def read(
    counting: Counting,
    desired: Mapping[ServiceKey, DesiredService],
    node: str,
    *,
    destinations: bool,
    clock_ns: Callable[[], int] = time.monotonic_ns,
) -> Table:
    """Read the counters of the desired services, and of their destinations if asked to. Blocks.

    Raises:
        KernelError: the kernel cannot be read.
    """
    started_ns = clock_ns()
    standing = counting.service_counters()
    services, backends = Rows(SERVICE_METRICS), Rows(DESTINATION_METRICS)
    for key in sorted(standing, key=lambda each: each.order):
        service = desired.get(key)
        if service is None:
            continue
        named = pairs(SERVICE_LABELS, (node, *_owner(service), key.vip, key.protocol.name, key.port))
        services.add([f"{{{named}}}"], [_totals(standing[key])])
        if destinations:
            _add_backends(backends, named, service, counting.destination_counters(key))
    return Table(services, backends, len(standing), clock_ns() - started_ns)


def _add_backends(
    rows: Rows, named: str, service: DesiredService, counted: Mapping[tuple[object, int], DestinationCounters]
) -> None:
    backends = {backend.address: backend for backend in service.backends}
    behind = []
    for address, port in counted:
        backend = backends.get(address, _UNKNOWN)  # type: ignore[call-overload]  # an identity begins with an address
        values = (backend.target or address, "Pod" if backend.is_pod else "External", address, port)
        behind.append(f"{{{named},{pairs(_ENDPOINT_LABELS, values)}}}")
    rows.add(behind, (_totals(each.totals) + _connections(each) for each in counted.values()))


def _owner(service: DesiredService) -> tuple[str, str]:
    """Namespace and name; a service of a file may have no namespace."""
    namespace, slash, name = service.owner.partition("/")
    return (namespace, name) if slash else ("", namespace)
