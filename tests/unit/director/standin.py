"""Stand-in kernel."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from appliance.model.address import Address, Network
from appliance.model.observed import ObservedLink, ObservedService
from appliance.model.plan import AddAddress, AddressStep, EnsureLink, Outcome, RemoveAddress, ServiceStep, StepResult
from appliance.model.service import ServiceKey, VirtualService
from tests.unit.decide.fake_kernel import FakeKernel


class FakeIpvs:
    def __init__(self) -> None:
        self._kernel = FakeKernel({})

    def dump(self) -> dict[ServiceKey, ObservedService]:
        return self._kernel.dump()

    def dump_services(self) -> dict[ServiceKey, VirtualService]:
        return {key: each.service for key, each in self.dump().items()}

    def read(self, keys: Collection[ServiceKey]) -> dict[ServiceKey, ObservedService]:
        return {key: each for key, each in self.dump().items() if key in keys}

    def apply(self, steps: Sequence[ServiceStep]) -> tuple[StepResult, ...]:
        self._kernel.apply(steps)
        return tuple(StepResult(step, Outcome.DONE) for step in steps)

    def flush(self) -> None:
        self._kernel = FakeKernel({})


class FakeVips:
    def __init__(self) -> None:
        self._link = ObservedLink()

    def dump(self) -> ObservedLink:
        return self._link

    def apply(self, steps: Sequence[AddressStep]) -> tuple[StepResult, ...]:
        for step in steps:
            match step:
                case EnsureLink():
                    self._link = replace(self._link, present=True, up=True)
                case AddAddress(vip):
                    self._link = replace(self._link, addresses=self._link.addresses | {vip})
                case RemoveAddress(vip):
                    self.lose(vip)
        return tuple(StepResult(step, Outcome.DONE) for step in steps)

    def lose(self, vip: Address) -> None:
        self._link = replace(self._link, addresses=self._link.addresses - {vip})


class FakeRoutes:
    def __init__(self) -> None:
        self._lost: frozenset[Network] = frozenset()

    def unroutable(self, subnets: Collection[Network]) -> frozenset[Network]:
        return self._lost & frozenset(subnets)

    def lose(self, *networks: Network) -> None:
        self._lost = frozenset(networks)

    def restore(self) -> None:
        self._lost = frozenset()
