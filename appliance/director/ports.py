"""What the loop needs from the outside, as small as it can be; the real ones are the adapters, tests bring fakes."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.errors import SourceError
from appliance.model.address import Address, Network
from appliance.model.counters import Counters, DestinationCounters
from appliance.model.desired import Snapshot
from appliance.model.happening import Happening
from appliance.model.observed import ObservedLink, ObservedService
from appliance.model.plan import AddressStep, ServiceStep, StepResult
from appliance.model.routing import Routing
from appliance.model.service import ServiceKey


class Ipvs(Protocol):
    """Virtual services of this network namespace (appliance.ipvs.kernel). Blocks: called in a thread."""

    def dump(self) -> dict[ServiceKey, ObservedService]: ...
    def read(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, ObservedService]: ...
    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]: ...


class Counting(Protocol):
    """What IPVS counts (appliance.ipvs.kernel), over a socket that nobody else uses. Blocks."""

    def service_counters(self) -> dict[ServiceKey, Counters]: ...
    def destination_counters(self, key: ServiceKey) -> dict[tuple[object, int], DestinationCounters]: ...


class Link(Protocol):
    """The dummy link with the VIPs (appliance.vips.kernel). Blocks."""

    def dump(self) -> ObservedLink: ...
    def apply(self, steps: Sequence[AddressStep]) -> tuple[StepResult, ...]: ...


class Routes(Protocol):
    """The routing table (appliance.routes.kernel). Blocks."""

    def unroutable(self, subnets: Collection[Network]) -> frozenset[Network]: ...


class Monitor(Protocol):
    """Tells that a link, an address or a route changed, not which."""

    def changes(self) -> AsyncIterator[None]: ...


class Router(Protocol):
    """BIRD (appliance.bird.announce)."""

    async def install(self) -> None: ...
    async def observe(self) -> Routing: ...
    async def publish(self, vips: frozenset[Address]) -> Routing: ...
    def ready_in_s(self, now_s: float) -> float: ...


class Source(Protocol):
    """A source of desired state: complete snapshots, or the error because of which there is none now."""

    def snapshots(self) -> AsyncIterator[Snapshot | SourceError]: ...


class Publisher(Protocol):
    """Tells the owners of services what happened to them (appliance.sources.kubernetes.publish).

    ``report`` neither waits nor fails. ``outcomes`` does the telling: an error while it cannot, None when it can again.
    """

    def report(self, happenings: Sequence[Happening]) -> None: ...
    def outcomes(self) -> AsyncIterator[SourceError | None]: ...


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
