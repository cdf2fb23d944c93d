"""Collects what the passes did, for those who own the services; who tells them is the publisher's business."""

from collections.abc import Callable, Collection, Iterable

from appliance.decide import tell
from appliance.decide.gate import GatePolicy
from appliance.director.memory import Memory
from appliance.director.ports import Publisher
from appliance.model.address import Address
from appliance.model.desired import Desired, Problem
from appliance.model.plan import ServiceStep
from appliance.model.service import ServiceKey


class Teller:
    """What is new to the owners of the services, handed to ``publisher`` (None: nobody cares, nothing is collected).

    A service that is written in a file has its owner at this machine, not in a cluster, and is left out. ``policy`` is
    that of the gate, ``clock`` the director's, in seconds.
    """

    def __init__(
        self, memory: Memory, publisher: Publisher | None, policy: GatePolicy, clock: Callable[[], float]
    ) -> None:
        self._memory = memory
        self._publisher = publisher
        self._policy = policy
        self._clock = clock
        self._desired: Desired | None = None
        self._owners: dict[ServiceKey, str] = {}
        self._problems: frozenset[Problem] = frozenset()
        self._announced: frozenset[Address] | None = None
        self._silences: dict[Address, tell.Silence] = {}

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
        before, self._announced = self._announced, memory.announce & (memory.routing.held | self._announced)
        silent = self._silent(before - self._announced)
        changed = before ^ self._announced
        if not changed and not silent:
            return
        reasons = {vip: memory.gates[vip].reason for vip in changed | silent if vip in memory.gates}
        owners = self._owners_of(changed | silent)
        self._publisher.report(tuple(tell.announced(before, self._announced, reasons, owners)))
        self._publisher.report(tuple(tell.not_announced(silent, reasons, owners)))

    def _silent(self, withdrawn: Collection[Address]) -> frozenset[Address]:
        """The VIPs that are wanted and not announced, for a reason that stands and that their owners do not know yet.

        Of one that was ``withdrawn`` they hear the reason anyway; one that is drained is the operator's doing.
        """
        memory, now_s = self._memory, self._clock()
        words = {
            vip: tell.reason_word(state, memory.proofs.get(vip), self._policy)
            for vip, state in memory.gates.items()
            if vip in memory.by_vip and not state.announce and memory.drains.of(vip) is None
        }
        found = tell.silences(self._silences, words, now_s)
        overdue = frozenset(vip for vip, silence in found.items() if silence.overdue(now_s))
        told = overdue.union(withdrawn)
        self._silences = {vip: silence.tell() if vip in told else silence for vip, silence in found.items()}
        return overdue.difference(withdrawn)

    def _owners_of(self, vips: Collection[Address]) -> dict[Address, dict[str, None]]:
        owners: dict[Address, dict[str, None]] = {}
        for key, owner in self._owners.items():
            if key.vip in vips:
                owners.setdefault(key.vip, {})[owner] = None
        return owners

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
