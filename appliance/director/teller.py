"""Collects what the passes did, for those who own the services; who tells them is the publisher's business."""

from collections.abc import Iterable

from appliance.decide import tell
from appliance.director.memory import Memory
from appliance.director.ports import Publisher
from appliance.model.address import Address
from appliance.model.desired import Desired, Problem
from appliance.model.plan import ServiceStep
from appliance.model.service import ServiceKey


class Teller:
    """What is new to the owners of the services, handed to ``publisher`` (None: nobody cares, nothing is collected).

    A service that is written in a file has its owner at this machine, not in a cluster, and is left out.
    """

    def __init__(self, memory: Memory, publisher: Publisher | None) -> None:
        self._memory = memory
        self._publisher = publisher
        self._desired: Desired | None = None
        self._owners: dict[ServiceKey, str] = {}
        self._problems: frozenset[Problem] = frozenset()
        self._announced: frozenset[Address] | None = None

    def programmed(self, steps: Iterable[ServiceStep]) -> None:
        """These steps were carried out."""
        if self._publisher is not None:
            self._take_desired(self._publisher)
            self._publisher.report(tuple(tell.programmed(steps, self._owners)))

    def passed(self) -> None:
        """A pass is over: what BIRD holds now was let out, what the gate closed is gone."""
        memory = self._memory
        if self._publisher is None or memory.routing is None:
            return
        self._take_desired(self._publisher)
        if self._announced is None:
            # Found announced at start: it was told by the director before.
            self._announced = memory.routing.held
        let_out = memory.announce
        after = let_out & (memory.routing.held | self._announced)
        if after != self._announced:
            reasons = {vip: state.reason for vip, state in memory.gates.items()}
            changed = self._announced ^ after
            owners: dict[Address, dict[str, None]] = {}
            for key, owner in self._owners.items():
                if key.vip in changed:
                    owners.setdefault(key.vip, {})[owner] = None
            self._publisher.report(tuple(tell.announced(self._announced, after, reasons, owners)))
            self._announced = after

    def _take_desired(self, publisher: Publisher) -> None:
        """Keep up with the owners and problems; the owner of a service that is gone is known until the kernel's is."""
        desired = self._memory.desired
        if desired is None or desired is self._desired:
            return
        self._desired = desired
        standing = {key: owner for key, owner in self._owners.items() if key in self._memory.services}
        own = {key: each.owner for key, each in desired.services.items() if not each.origin}
        self._owners = {key: owner for key, owner in standing.items() if key not in desired.services} | own
        problems = frozenset(desired.problems)
        if problems != self._problems:
            publisher.report(tuple(tell.refused(self._problems, desired.problems)))
            self._problems = problems
