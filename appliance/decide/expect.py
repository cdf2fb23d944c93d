"""Desired state -> the reading of the kernel that would be right."""

from collections.abc import Iterable

from appliance.model.address import Address, Network, address_order
from appliance.model.desired import Desired, DesiredService
from appliance.model.observed import ObservedService
from appliance.model.service import Destination, ServiceKey, VirtualService

LOADING_SCHEDULER = "rr"


def expect(desired: Desired, unroutable: frozenset[Network] = frozenset()) -> dict[ServiceKey, ObservedService]:
    """What the kernel should be read to hold for every desired service.

    A backend in a subnet that this node has no route to stands at weight 0 here, as one that is not ready: this node
    cannot serve through it, and with mh-fallback its clients go to the others.
    """
    return {key: expect_service(service, unroutable) for key, service in desired.services.items()}


def expect_service(
    service: DesiredService,
    unroutable: frozenset[Network] = frozenset(),
    failing: frozenset[Address] = frozenset(),
) -> ObservedService:
    """The right reading of one service: its destinations in canonical order (I9).

    A backend that fails this node's probes stands at weight 0 as well.
    """
    virtual = VirtualService(service.key, service.scheduler, service.flags, service.persistence_s)
    destinations = tuple(
        Destination(
            backend.address,
            service.key.port,
            0
            if not backend.ready or backend.address in failing or _inside(backend.address, unroutable)
            else backend.weight,
            tunnel=service.tunnel,
        )
        for backend in service.backends
    )
    return ObservedService(virtual, destinations)


def load_order(destinations: Iterable[Destination]) -> list[Destination]:
    """The order in which to add destinations so that the kernel lists them in canonical order.

    ``__ip_vs_update_dest`` (net/netfilter/ipvs/ip_vs_ctl.c) puts each new destination at the head of its list.
    """
    return sorted(destinations, key=lambda each: (address_order(each.address), each.port), reverse=True)


def _inside(address: Address, networks: frozenset[Network]) -> bool:
    return any(address in network for network in networks)
