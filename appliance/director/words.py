"""Steps in words an operator can act on."""

from collections.abc import Sequence
from itertools import groupby
from typing import assert_never

from appliance.director.build import key_of
from appliance.model.observed import ObservedService
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
from appliance.model.service import Destination, ServiceKey, VirtualService

MAX_STEPS_TOLD = 3


def what(step: ServiceStep | AddressStep) -> str:
    """What the step does, without old values: ``add destination 10.1.0.2 of tcp/10.50.0.1:80``."""
    match step:
        case AddService(service):
            text = f"add service {service.key}"
        case SetService(service):
            text = f"set service {service.key}"
        case RemoveService(key):
            text = f"remove service {key}"
        case AddDestination(key, destination):
            text = f"add destination {destination.address} of {key}"
        case SetDestination(key, destination):
            text = f"set destination {destination.address} of {key}"
        case RemoveDestination(key, destination):
            text = f"remove destination {destination.address} of {key}"
        case AddAddress(vip):
            text = f"put address {vip} on the link"
        case RemoveAddress(vip):
            text = f"take address {vip} off the link"
        case EnsureLink():
            text = "set up the link"
        case _:
            assert_never(step)
    return text


def repairs(steps: Sequence[ServiceStep], have: dict[ServiceKey, ObservedService]) -> dict[ServiceKey, str]:
    """For each service what is being repaired, old -> new, a few steps told and the rest counted."""
    told = {}
    for key, group in groupby(steps, key_of):
        texts = [repair(step, have.get(key)) for step in group]
        more = f" and {len(texts) - MAX_STEPS_TOLD} more" if len(texts) > MAX_STEPS_TOLD else ""
        told[key] = ", ".join(texts[:MAX_STEPS_TOLD]) + more
    return told


def repair(step: ServiceStep, have: ObservedService | None) -> str:
    """One step as old -> new."""
    match step:
        case AddService():
            return "service was missing"
        case SetService(service):
            return f"{_scheduling(have.service) if have else 'loading'} -> {_scheduling(service)}"
        case RemoveService():
            return "service not wanted"
        case AddDestination(_, destination):
            return f"{destination.address} was missing"
        case RemoveDestination(_, destination):
            return f"{destination.address} not wanted"
        case SetDestination(_, destination):
            standing = have.destinations if have else ()
            old = next((each for each in standing if each.identity == destination.identity), None)
            return f"{destination.address} {_destination(old)} -> {_destination(destination)}"


def _scheduling(service: VirtualService) -> str:
    return f"{service.scheduler} flags {int(service.flags):#x}"


def _destination(destination: Destination | None) -> str:
    if destination is None:
        return "nothing"
    return f"{destination.forwarding.name.lower()}/{destination.tunnel} weight {destination.weight}"
