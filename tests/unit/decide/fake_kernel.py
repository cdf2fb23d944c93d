"""A small IPVS kernel: refuses what the real one refuses and puts each new destination at the head of its list."""

import errno
from collections.abc import Iterable, Mapping

from appliance.errors import KernelError
from appliance.model.observed import ObservedService
from appliance.model.plan import (
    AddDestination,
    AddService,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
)
from appliance.model.service import Destination, ServiceKey, VirtualService


class FakeKernel:
    """The table of virtual services; errno as in net/netfilter/ipvs/ip_vs_ctl.c."""

    def __init__(self, services: Mapping[ServiceKey, ObservedService]) -> None:
        self._services: dict[ServiceKey, VirtualService] = {name: each.service for name, each in services.items()}
        self._destinations: dict[ServiceKey, list[Destination]] = {
            name: list(each.destinations) for name, each in services.items()
        }

    def dump(self) -> dict[ServiceKey, ObservedService]:
        """A reading of the whole table."""
        return {
            name: ObservedService(service, tuple(self._destinations[name])) for name, service in self._services.items()
        }

    def apply(self, steps: Iterable[ServiceStep]) -> None:
        """Do each step; KernelError for the first one that the kernel would refuse."""
        for step in steps:
            self._do(step)

    def _do(self, step: ServiceStep) -> None:
        match step:
            case AddService(service):
                if service.key in self._services:
                    raise KernelError("add service", str(service.key), errno.EEXIST)
                self._services[service.key] = service
                self._destinations[service.key] = []
            case SetService(service):
                self._known(service.key)
                self._services[service.key] = service
            case RemoveService(name):
                self._known(name)
                del self._services[name], self._destinations[name]
            case AddDestination(name, destination):
                self._known(name)
                if self._position(name, destination) is not None:
                    raise KernelError("add destination", str(name), errno.EEXIST)
                self._destinations[name].insert(0, destination)
            case SetDestination(name, destination):
                self._destinations[name][self._standing(name, destination)] = destination
            case RemoveDestination(name, destination):
                del self._destinations[name][self._standing(name, destination)]

    def _known(self, name: ServiceKey) -> None:
        if name not in self._services:
            raise KernelError("find service", str(name), errno.ESRCH)

    def _position(self, name: ServiceKey, destination: Destination) -> int | None:
        identities = [each.identity for each in self._destinations[name]]
        return identities.index(destination.identity) if destination.identity in identities else None

    def _standing(self, name: ServiceKey, destination: Destination) -> int:
        self._known(name)
        position = self._position(name, destination)
        if position is None:
            raise KernelError("find destination", str(name), errno.ENOENT)
        return position
