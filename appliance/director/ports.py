"""What the loop needs from the outside, as small as it can be; the real ones are the adapters, tests bring fakes."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.errors import KernelError, SourceError
from appliance.model.address import Network
from appliance.model.check import ProbeResult, ProbeTarget
from appliance.model.counters import Counters, DestinationCounters
from appliance.model.desired import Snapshot
from appliance.model.guard import Guard as GuardTable
from appliance.model.guard import GuardCounts, ObservedGuard
from appliance.model.happening import Happening
from appliance.model.host import Change, Changed
from appliance.model.observed import ObservedLink, ObservedService
from appliance.model.plan import AddressStep, ServiceStep, StepResult
from appliance.model.routing import Announcement, Routing
from appliance.model.service import ServiceKey


class Ipvs(Protocol):
    """Virtual services of this network namespace (appliance.ipvs.kernel). Blocks: called in a thread."""

    def dump(self) -> dict[ServiceKey, ObservedService]: ...
    def read(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, ObservedService]: ...
    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]: ...
    def connections(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, int]: ...


class Counting(Protocol):
    """What IPVS counts (appliance.ipvs.kernel), over a socket that nobody else uses. Blocks."""

    def service_counters(self) -> dict[ServiceKey, Counters]: ...
    def destination_counters(self, key: ServiceKey) -> dict[tuple[object, int], DestinationCounters]: ...


class Link(Protocol):
    """The dummy link with the VIPs (appliance.vips.kernel). Blocks."""

    def dump(self) -> ObservedLink: ...
    def exists(self, name: str) -> bool: ...
    def apply(self, steps: Sequence[AddressStep]) -> tuple[StepResult, ...]: ...


class Guard(Protocol):
    """The table that guards the VIPs (appliance.guard.kernel). Blocks: called in a thread, by one at a time."""

    def read(self, *, whole: bool = False) -> ObservedGuard: ...
    def apply(self, guard: GuardTable) -> None: ...


class GuardCounting(Protocol):
    """What the guard counts, over a library context that nobody else uses. Blocks."""

    def counts(self) -> GuardCounts: ...


class Routes(Protocol):
    """The routing table (appliance.routes.kernel). Blocks."""

    def path_mtus(self, subnets: Collection[Network]) -> dict[Network, int]: ...


class Monitor(Protocol):
    """Tells that a link, an address or a route changed, not which."""

    def changes(self) -> AsyncIterator[None]: ...


class Router(Protocol):
    """BIRD (appliance.bird.announce)."""

    async def install(self) -> None: ...
    async def observe(self) -> Routing: ...
    async def publish(self, announcement: Announcement) -> Routing: ...
    def ready_in_s(self, now_s: float) -> float: ...
    def changes(self) -> AsyncIterator[None]: ...


class Source(Protocol):
    """A source of desired state: complete snapshots, or the error because of which there is none now."""

    def snapshots(self) -> AsyncIterator[Snapshot | SourceError]: ...


class Publisher(Protocol):
    """Tells the owners of services what happened to them (appliance.sources.kubernetes.publish).

    ``report`` neither waits nor fails. ``outcomes`` does the telling: an error while it cannot, None when it can again.
    ``written`` counts what was told so far, ``dropped`` what nobody will ever hear of.
    """

    @property
    def written(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    def report(self, happenings: Sequence[Happening]) -> None: ...
    def outcomes(self) -> AsyncIterator[SourceError | None]: ...


class Prober(Protocol):
    """Active checks (appliance.checks.prober): what comes of the probes, an error while there can be none."""

    @property
    def interval_s(self) -> float: ...
    def follow(self, fresh: Iterable[ProbeTarget], gone: Iterable[ProbeTarget]) -> None: ...
    def results(self) -> AsyncIterator[Sequence[ProbeResult] | KernelError]: ...


class Host(Protocol):
    """Settings of this host's kernel (appliance.host.settings). Blocks: called in a thread."""

    def differing(self) -> tuple[Change, ...]: ...
    def change(self, wanted: Iterable[Change]) -> Changed: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside the loop. ``sources`` go by the name under which the status shows them."""

    ipvs: Ipvs
    link: Link
    routes: Routes
    monitor: Monitor
    router: Router
    sources: dict[str, Source]
    publisher: Publisher | None = None
    prober: Prober | None = None
    host: Host | None = None
    guard: Guard | None = None
