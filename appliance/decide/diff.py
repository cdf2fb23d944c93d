"""What stands between the expected reading of the kernel and the real one.

Ownership (I5) is decided before: the caller hands over only services and addresses whose VIP lies inside our pools.
Everything else in the kernel never gets here, so nothing here can touch it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from appliance.decide.expect import LOADING_SCHEDULER, load_order
from appliance.model.address import Address, address_order
from appliance.model.observed import ObservedLink, ObservedService
from appliance.model.plan import (
    AddAddress,
    AddDestination,
    AddressStep,
    AddService,
    EnsureLink,
    RemoveAddress,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
)
from appliance.model.service import Destination, ServiceFlag, ServiceKey, VirtualService

DrainKey = tuple[ServiceKey, Address, int]


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """The clock of vanished destinations: since when each drains, the time now, how long a drain lasts.

    ``times_s`` holds the services whose drains last another time than ``time_s``.
    """

    since_s: Mapping[DrainKey, float] = field(default_factory=dict)
    now_s: float = 0.0
    time_s: float = 0.0
    times_s: Mapping[ServiceKey, float] = field(default_factory=dict)

    def lasts_s(self, service: ServiceKey) -> float:
        """How long a destination of this service drains."""
        return self.times_s.get(service, self.time_s)

    def over(self, key: DrainKey) -> bool:
        """Whether this destination has drained long enough to be removed."""
        return self.now_s - self.since_s.get(key, self.now_s) >= self.lasts_s(key[0])


@dataclass(frozen=True, slots=True)
class ServiceDiff:
    """Steps for the services looked at; ``draining`` names every destination that stands only to drain.

    ``teardown`` removes services of VIPs that nobody wants any more; it has to wait until BIRD is seen silent (I2).
    """

    build: tuple[ServiceStep, ...] = ()
    teardown: tuple[RemoveService, ...] = ()
    draining: frozenset[DrainKey] = frozenset()


def diff_services(
    expected: Mapping[ServiceKey, ObservedService],
    observed: Mapping[ServiceKey, ObservedService],
    *,
    wanted_vips: frozenset[Address],
    live_vips: frozenset[Address],
    drain: DrainPolicy,
) -> ServiceDiff:
    """Compare both readings, service by service.

    Args:
        expected: what should be read.
        observed: what was read, only services on VIPs inside our pools.
        wanted_vips: every VIP that any service wants, also those outside this comparison.
        live_vips: VIPs announced now; their services are never loaded under another scheduler than their own.
        drain: the clock of vanished destinations.
    """
    build: list[ServiceStep] = []
    teardown: list[RemoveService] = []
    draining: set[DrainKey] = set()
    for key, want in expected.items():
        have = observed.get(key)
        if have is None:
            build.extend(_create(want, live=key.vip in live_vips))
        elif have != want:
            build.extend(_change(want, have, drain, draining))
    for key in sorted(observed.keys() - expected.keys(), key=lambda each: each.order):
        if key.vip in wanted_vips:
            build.extend(_retire(observed[key], drain, draining))
        else:
            teardown.append(RemoveService(key))
    return ServiceDiff(tuple(build), tuple(teardown), frozenset(draining))


def _create(want: ObservedService, *, live: bool) -> Iterator[ServiceStep]:
    """A new service; unless it is live it is loaded under rr and switched once.

    mh fills its whole table anew on every destination change (ip_vs_mh_dest_changed), rr does not.
    """
    loading = want.service if live else _loading(want.service)
    yield AddService(loading)
    for destination in load_order(want.destinations):
        yield AddDestination(want.service.key, destination)
    if loading != want.service:
        yield SetService(want.service)


def _loading(service: VirtualService) -> VirtualService:
    scheduler_flags = ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2 | ServiceFlag.SCHEDULER_3
    return replace(service, scheduler=LOADING_SCHEDULER, flags=service.flags & ~scheduler_flags)


def _change(
    want: ObservedService, have: ObservedService, drain: DrainPolicy, draining: set[DrainKey]
) -> Iterator[ServiceStep]:
    key = want.service.key
    if want.service != have.service:
        yield SetService(want.service)
    if want.destinations == have.destinations:
        return
    standing = {destination.identity: destination for destination in have.destinations}
    missing = []
    for destination in want.destinations:
        stands = standing.pop(destination.identity, None)
        if stands is None:
            missing.append(destination)
        elif stands != destination:
            yield SetDestination(key, destination)
    for destination in load_order(missing):
        yield AddDestination(key, destination)
    for destination in standing.values():
        yield from _drain(key, destination, drain, draining)


def _drain(
    key: ServiceKey, destination: Destination, drain: DrainPolicy, draining: set[DrainKey]
) -> Iterator[ServiceStep]:
    """A destination that nobody wants: weight 0 for the drain time, then gone."""
    drain_key = (key, destination.address, destination.port)
    if drain.over(drain_key):
        yield RemoveDestination(key, destination)
        return
    draining.add(drain_key)
    if destination.weight != 0:
        yield SetDestination(key, replace(destination, weight=0))


def _retire(have: ObservedService, drain: DrainPolicy, draining: set[DrainKey]) -> Iterator[ServiceStep]:
    """A service that nobody wants, on a VIP that others still want: its destinations drain, then it goes."""
    still: set[DrainKey] = set()
    steps = [step for each in have.destinations for step in _drain(have.service.key, each, drain, still)]
    draining |= still
    if still:
        yield from steps
    else:
        yield RemoveService(have.service.key)


def drain_clock(since_s: Mapping[DrainKey, float], draining: Iterable[DrainKey], now_s: float) -> dict[DrainKey, float]:
    """The clock after a comparison of everything: those that drain now keep their start, new ones start now."""
    return {key: since_s.get(key, now_s) for key in draining}


def diff_link(
    wanted: frozenset[Address], observed: ObservedLink, owned: frozenset[Address]
) -> tuple[tuple[AddressStep, ...], tuple[RemoveAddress, ...]]:
    """Steps for the link and its addresses: (build, teardown). ``owned`` are observed addresses inside our pools."""
    build: list[AddressStep] = []
    if wanted and not (observed.present and observed.up):
        build.append(EnsureLink())
    build.extend(AddAddress(vip) for vip in sorted(wanted - observed.addresses, key=address_order))
    return tuple(build), tuple(RemoveAddress(vip) for vip in sorted(owned - wanted, key=address_order))
