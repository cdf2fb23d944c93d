"""Kernels in memory, with the answers of the real ones: tests/contract/kernel runs one suite on both.

Every fake takes faults: a step that fails, a step that is swallowed (the kernel says yes and nothing happens, as when
somebody undoes it at once), a reading that fails.
"""

import errno
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network

from appliance.errors import KernelError
from appliance.ipvs.outcome import outcome as service_outcome
from appliance.model.address import Address, Network
from appliance.model.observed import ObservedLink, ObservedService
from appliance.model.plan import (
    AddAddress,
    AddDestination,
    AddressStep,
    AddService,
    EnsureLink,
    Outcome,
    RemoveAddress,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
    StepResult,
)
from appliance.model.service import Destination, Forwarding, ServiceKey, TunnelType, VirtualService
from appliance.vips.outcome import outcome as address_outcome

SCHEDULERS = frozenset({"rr", "wrr", "lc", "wlc", "sh", "dh", "mh", "sed", "nq", "fo", "ovf", "lblc", "lblcr", "twos"})
_SWALLOW = -1


class Faults:
    """What is to go wrong: by the number of the step from now on, 1 being the next."""

    def __init__(self) -> None:
        self._steps: dict[int, int] = {}
        self._reading = 0

    def fail_step(self, number: int, error: int) -> None:
        """The ``number``-th step from now answers ``error`` and does nothing."""
        self._steps[number] = error

    def swallow_step(self, number: int) -> None:
        """The ``number``-th step from now says it is done and does nothing."""
        self._steps[number] = _SWALLOW

    def fail_readings(self, error: int) -> None:
        """Every reading from now on raises KernelError with ``error``; 0 ends it."""
        self._reading = error

    def next_step(self) -> int | None:
        """The error that the step at hand must answer, None if it may work."""
        due = self._steps.pop(1, None)
        self._steps = {number - 1: error for number, error in self._steps.items()}
        return 0 if due == _SWALLOW else due

    def reading(self) -> None:
        """Raise if readings are to fail."""
        if self._reading:
            raise KernelError("read", "fake kernel", self._reading)


class FakeIpvs(Faults):
    """The table of virtual services; error numbers and their order of precedence as in ``ip_vs_ctl.c``.

    ``has_ipv4`` False stands for a network namespace without any IPv4 address, where IPVS refuses IPv4 destinations.
    ``connected`` is how many connections a service was given.
    """

    def __init__(self, schedulers: Collection[str] = SCHEDULERS, *, has_ipv4: bool = True) -> None:
        super().__init__()
        self.schedulers = frozenset(schedulers)
        self.has_ipv4 = has_ipv4
        self._services: dict[ServiceKey, VirtualService] = {}
        self._destinations: dict[ServiceKey, list[Destination]] = {}
        self.connected: dict[ServiceKey, int] = {}
        self._left_out: frozenset[ServiceKey] = frozenset()

    def leave_out(self, *keys: ServiceKey) -> None:
        """From now on readings of the whole table are short of these."""
        self._left_out = frozenset(keys)

    def flush(self) -> None:
        """What ``ipvsadm -C`` does."""
        self._services.clear()
        self._destinations.clear()

    def close(self) -> None:
        """Nothing to give back."""

    def dump(self) -> dict[ServiceKey, ObservedService]:
        return self.read([key for key in self._services if key not in self._left_out])

    def read(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, ObservedService]:
        self.reading()
        standing = [key for key in keys if key in self._services]
        return {key: ObservedService(self._services[key], tuple(self._destinations[key])) for key in standing}

    def connections(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, int]:
        self.reading()
        return {key: self.connected.get(key, 0) for key in keys if key in self._services}

    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]:
        results = []
        for step in steps:
            fault = self.next_step()
            number = self._do(step) if fault is None else fault
            results.append(StepResult(step, service_outcome(step, number), number))
        return tuple(results)

    def _do(self, step: ServiceStep) -> int:
        key = step.service.key if isinstance(step, AddService | SetService) else step.key
        if isinstance(step, AddService):
            return errno.EEXIST if key in self._services else self._set(step.service)
        if key not in self._services:
            return errno.ESRCH
        match step:
            case SetService(service):
                return self._set(service)
            case RemoveService():
                del self._services[key], self._destinations[key]
                return 0
            case AddDestination(_, destination) | SetDestination(_, destination):
                return _unacceptable(key, destination) or self._place(step, destination)
            case RemoveDestination(_, destination):
                return self._displace(key, destination)

    def _set(self, service: VirtualService) -> int:
        if service.scheduler not in self.schedulers:
            return errno.ENOENT
        self._services[service.key] = service
        self._destinations.setdefault(service.key, [])
        return 0

    def _place(self, step: AddDestination | SetDestination, destination: Destination) -> int:
        place = self._place_of(step.key, destination)
        if isinstance(step, SetDestination):
            if place is None:
                return errno.ENOENT
            self._destinations[step.key][place] = destination
            return 0
        if place is not None:
            return errno.EEXIST
        address = destination.address
        if address.is_multicast or address.is_unspecified or (address.version == 4 and not self.has_ipv4):
            return errno.EINVAL
        self._destinations[step.key].insert(0, destination)  # list_add_rcu: at the head
        return 0

    def _displace(self, key: ServiceKey, destination: Destination) -> int:
        place = self._place_of(key, destination)
        if place is None:
            return errno.ENOENT
        del self._destinations[key][place]
        return 0

    def _place_of(self, key: ServiceKey, destination: Destination) -> int | None:
        identities = [each.identity for each in self._destinations[key]]
        return identities.index(destination.identity) if destination.identity in identities else None


def _unacceptable(key: ServiceKey, destination: Destination) -> int:
    mixed = key.vip.version != destination.address.version
    if mixed and destination.forwarding is not Forwarding.TUNNEL:
        return errno.EINVAL
    if destination.weight < 0 or destination.lower_threshold > destination.upper_threshold:
        return errno.ERANGE
    if destination.tunnel.type is TunnelType.GUE and destination.tunnel.port == 0:
        return errno.EINVAL
    return 0


class FakeVips(Faults):
    """The dummy link. ``taken`` stands for a link of its name that is no dummy, ``others`` are further links."""

    def __init__(self, *, taken: bool = False) -> None:
        super().__init__()
        self.taken = taken
        self.others: set[str] = set()
        self._link = ObservedLink()

    def close(self) -> None:
        """Nothing to give back."""

    def lose(self, vip: Address) -> None:
        """What ``ip address del`` does."""
        self._link = replace(self._link, addresses=self._link.addresses - {vip})

    def have_elsewhere(self, *addresses: Address) -> None:
        """From now on exactly these addresses stand on other links."""
        self._link = replace(self._link, elsewhere=frozenset(addresses))

    def take_down(self) -> None:
        """What ``ip link set down`` does: the kernel keeps IPv4 addresses and drops IPv6 ones."""
        kept = frozenset(address for address in self._link.addresses if address.version == 4)
        self._link = replace(self._link, up=False, addresses=kept)

    def cut_off(self, reasons: Mapping[Address, str]) -> None:
        """From now on packets get to exactly these addresses no more."""
        self._link = replace(self._link, cut=dict(reasons))

    def delete_link(self) -> None:
        """What ``ip link del`` does."""
        self._link = ObservedLink(elsewhere=self._link.elsewhere)

    def exists(self, name: str) -> bool:
        self.reading()
        return name in self.others

    def dump(self) -> ObservedLink:
        self.reading()
        return self._link

    def apply(self, steps: Sequence[AddressStep]) -> tuple[StepResult, ...]:
        return tuple(self._result(step) for step in steps)

    def _result(self, step: AddressStep) -> StepResult:
        fault = self.next_step()
        if self.taken:
            return StepResult(step, Outcome.FATAL, errno.EEXIST)
        if fault is None and isinstance(step, EnsureLink) and self._link.up:
            return StepResult(step, Outcome.ALREADY, errno.EEXIST)
        if not isinstance(step, EnsureLink) and not self._link.present:
            return StepResult(step, Outcome.RETRY, errno.ENODEV)
        number = self._do(step) if fault is None else fault
        return StepResult(step, address_outcome(step, number), number)

    def _do(self, step: AddressStep) -> int:
        standing = self._link.addresses
        match step:
            case EnsureLink():
                self._link = replace(self._link, present=True, up=True)
            case AddAddress(vip):
                if vip in standing:
                    return errno.EEXIST
                self._link = replace(self._link, addresses=standing | {vip})
            case RemoveAddress(vip):
                if vip not in standing:
                    return errno.EADDRNOTAVAIL
                self.lose(vip)
        return 0


class FakeRoutes(Faults):
    """A routing table that leads everywhere but into the networks that were lost."""

    def __init__(self) -> None:
        super().__init__()
        self._lost: tuple[Network, ...] = ()
        self._mtus: dict[Network | None, int] = {}

    def close(self) -> None:
        """Nothing to give back."""

    def lose(self, *networks: Network) -> None:
        """From now on exactly these networks have no route."""
        self._lost = networks

    def restore(self) -> None:
        """From now on there is a route to everything."""
        self._lost = ()

    def set_mtu(self, mtu: int, network: Network | None = None) -> None:
        """From now on this is the path MTU into ``network`` (default: everywhere); it is 1500 elsewhere."""
        self._mtus = {network: mtu}

    def path_mtus(self, subnets: Collection[Network]) -> dict[Network, int]:
        self.reading()
        reached = [subnet for subnet in subnets if not any(_within(subnet, lost) for lost in self._lost)]
        return {subnet: self._mtu_into(subnet) for subnet in reached}

    def _mtu_into(self, subnet: Network) -> int:
        return next((mtu for network, mtu in self._mtus.items() if network is None or _within(subnet, network)), 1500)


def _within(subnet: Network, network: Network) -> bool:
    """Whether the two overlap with ``network`` the larger; ``subnet_of`` takes no networks of different versions."""
    return ip_network(network).supernet_of(subnet) if network.version == subnet.version else False  # type: ignore[arg-type]
