"""Is a VIP served here? Judged by nothing but a reading of the kernel."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.model.address import Address, host_prefix
from appliance.model.observed import Observed, ObservedService
from appliance.model.service import ServiceFlag


@dataclass(frozen=True, slots=True)
class Proof:
    """The judgement on one VIP. ``reason`` says in words what is missing, or that all is well.

    ``ready`` and ``backends`` count destinations over all services of the VIP: those that take new
    connections, and all.
    """

    vip: Address
    ok: bool
    reason: str
    services: int = 0
    ready: int = 0
    backends: int = 0


def prove(vip: Address, expected: Iterable[ObservedService], observed: Observed, min_backends: int) -> Proof:
    """Judge ``vip`` by the kernel: link, address, every service and flag, every destination, enough ready backends.

    A local fault in any service of the VIP fails the proof. Of several services on the VIP one with ``min_backends``
    ready destinations is enough.
    """
    services = tuple(expected)
    fault = _link_fault(vip, observed) or next(filter(None, (_service_fault(each, observed) for each in services)), "")
    ready = [sum(1 for destination in each.destinations if destination.weight > 0) for each in services]
    if not fault and max(ready, default=0) < min_backends:
        fault = f"{max(ready, default=0)} of {min_backends} needed backends ready"
    return Proof(
        vip,
        ok=not fault,
        reason=fault or "read back from the kernel",
        services=len(services),
        ready=sum(ready),
        backends=sum(len(each.destinations) for each in services),
    )


def _link_fault(vip: Address, observed: Observed) -> str:
    if not observed.link.present:
        return "the link that carries the VIPs is missing"
    if not observed.link.up:
        return "the link that carries the VIPs is down"
    if vip not in observed.link.addresses:
        return f"address {host_prefix(vip)} is not on the link"
    return ""


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
        stands = standing.get(destination.identity)
        if stands is None:
            return f"destination {destination.address} of {want.service.key} is not in the kernel"
        if stands != destination:
            return f"destination {destination.address} of {want.service.key} differs from what it should be"
    return ""


def _scheduling(service: ObservedService) -> str:
    virtual = service.service
    text = f"{virtual.scheduler} flags {int(virtual.flags):#x}"
    if ServiceFlag.PERSISTENT in virtual.flags:
        return f"{text} persistence {virtual.persistence_s} s per /{virtual.persistence_prefix}"
    return text
