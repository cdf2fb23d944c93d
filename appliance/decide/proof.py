"""Is a VIP served here? Judged by nothing but a reading of the kernel."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from appliance.model.address import Address, host_prefix
from appliance.model.desired import Announce, DesiredService
from appliance.model.observed import Observed, ObservedService
from appliance.model.service import ServiceFlag, ServiceKey

NOTHING_SAID: Mapping[ServiceKey, DesiredService] = {}


@dataclass(frozen=True, slots=True)
class Proof:
    """The judgement on one VIP. ``reason`` says in words what is missing, or that all is well.

    ``fault`` is what is wrong in the kernel; it is empty also where nothing but ready backends is missing.
    ``ready`` and ``backends`` count destinations over all services of the VIP: those that take new
    connections, and all. ``caution`` is why the VIP is not to be let out though this node serves it; one that
    is out stays out.
    """

    vip: Address
    ok: bool
    reason: str
    services: int = 0
    ready: int = 0
    backends: int = 0
    fault: str = ""
    caution: str = ""


class _Count(NamedTuple):
    """The destinations of one service that take new connections here, and how many are needed."""

    key: ServiceKey
    announce: Announce
    ready: int
    needed: int

    @property
    def enough(self) -> bool:
        return self.ready >= self.needed

    def __str__(self) -> str:
        return f"{self.ready} of {self.needed} needed backends ready"


def prove(
    vip: Address,
    expected: Iterable[ObservedService],
    observed: Observed,
    min_backends: int,
    wanted: Mapping[ServiceKey, DesiredService] = NOTHING_SAID,
) -> Proof:
    """Judge ``vip`` by the kernel: link, address, every service and flag, every destination, enough ready backends.

    A local fault in any service of the VIP fails the proof. So does a destination that nobody wants and that takes
    traffic; one that only drains (weight 0) is as it should be. Of several services on the VIP one with
    ``min_backends`` ready destinations is enough, unless what is ``wanted`` announces in another way: a service with
    Announce.ALL has to have enough itself, and one with Announce.ALWAYS forgives what its source lacks. What this node
    lacks, be it a route to the backends, nobody forgives.
    """
    services = tuple(expected)
    fault = _link_fault(vip, observed) or next(filter(None, (_service_fault(each, observed) for each in services)), "")
    counts = [_count(each, wanted.get(each.service.key), min_backends) for each in services]
    ready = max((count.ready for count in counts), default=0)
    reason = fault or _shortage(counts, min_backends)
    always = f"; always announced, now with {ready} of {min_backends} needed backends ready"
    return Proof(
        vip,
        ok=not reason,
        reason=reason or "read back from the kernel" + (always if ready < min_backends else ""),
        services=len(services),
        ready=sum(count.ready for count in counts),
        backends=sum(len(each.destinations) for each in services),
        fault=fault,
    )


def _count(service: ObservedService, wanted: DesiredService | None, min_backends: int) -> _Count:
    announce, needed = Announce.ANY, min_backends
    if wanted is not None:
        announce = wanted.announce
        needed = min(min_backends, wanted.ready) if announce is Announce.ALWAYS else min_backends
    ready = sum(1 for destination in service.destinations if destination.weight > 0)
    return _Count(service.service.key, announce, ready, needed)


def _shortage(counts: list[_Count], min_backends: int) -> str:
    """Which backends are missing, in words; empty where there are enough."""
    lacking = next((count for count in counts if count.announce is Announce.ALL and not count.enough), None)
    if lacking is not None and len(counts) > 1:
        return f"{lacking} for {lacking.key}, which announces only with its own"
    if any(count.enough for count in counts):
        return ""
    return str(max(counts, key=lambda count: count.ready)) if counts else f"0 of {min_backends} needed backends ready"


def _link_fault(vip: Address, observed: Observed) -> str:
    if not observed.link.present:
        return "the link that carries the VIPs is missing"
    if not observed.link.up:
        return "the link that carries the VIPs is down"
    if vip not in observed.link.addresses:
        return f"address {host_prefix(vip)} is not on the link"
    return observed.link.cut.get(vip, "")


def _service_fault(want: ObservedService, observed: Observed) -> str:
    have = observed.services.get(want.service.key)
    if have == want:
        return ""
    if have is None:
        return f"service {want.service.key} is not in the kernel"
    if have.service != want.service:
        return f"service {want.service.key} has {_scheduling(have)} instead of {_scheduling(want)}"
    standing = {destination.identity: destination for destination in have.destinations}
    for destination in want.destinations:
        stands = standing.pop(destination.identity, None)
        if stands is None:
            return f"destination {destination.address} of {want.service.key} is not in the kernel"
        if stands != destination:
            return f"destination {destination.address} of {want.service.key} differs from what it should be"
    taking = next((each.address for each in standing.values() if each.weight > 0), None)
    return f"destination {taking} of {want.service.key} takes traffic, and nobody wants it" if taking else ""


def _scheduling(service: ObservedService) -> str:
    virtual = service.service
    text = f"{virtual.scheduler} flags {int(virtual.flags):#x}"
    if ServiceFlag.PERSISTENT in virtual.flags:
        return f"{text} persistence {virtual.persistence_s} s per /{virtual.persistence_prefix}"
    return text
