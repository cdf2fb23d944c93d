"""What happened, for metrics and health: counted and timed as it happens. Nothing here decides anything."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import replace

from appliance.director.memory import Memory
from appliance.errors import BirdError, BirdRejected, BirdUnreachable, SourceError
from appliance.model.address import Address
from appliance.model.desired import DesiredService, Snapshot
from appliance.model.plan import (
    AddDestination,
    AddService,
    Outcome,
    RemoveDestination,
    RemoveService,
    SetDestination,
    SetService,
    Step,
)
from appliance.model.service import ServiceKey
from appliance.telemetry import metrics
from appliance.telemetry.meter import Meter

_NS = 1e9
_STEPS: Mapping[type[Step], tuple[str, str]] = {
    AddService: ("service", "create"),
    SetService: ("service", "update"),
    RemoveService: ("service", "delete"),
    AddDestination: ("endpoint", "create"),
    SetDestination: ("endpoint", "update"),
    RemoveDestination: ("endpoint", "delete"),
}
_ACTIONS = {(False, True): "create", (True, True): "update", (True, False): "delete"}


class Ending(enum.Enum):
    """How a pass ended."""

    DONE = "done"
    WAITING = "waiting"
    UNREADABLE = "unreadable"


class Record:
    """What one director counted and timed; times are on its clock.

    ``passed_s`` is when the latest pass was done, ``failing_s`` since when each source cannot be heard. ``asked_s`` are
    services whose change was heard and not read back from the kernel yet, ``untold_s`` the VIPs whose change BIRD was
    not read to follow yet: since when.
    """

    def __init__(self, node: str, meter: Meter, clock: Callable[[], float]) -> None:
        self.meter = meter
        self.started_s = self.passed_s = clock()
        self.failing_s: dict[str, float] = {}
        self.asked_s: dict[ServiceKey, float] = {}
        self.untold_s: dict[Address, float] = {}
        self._node = node
        self._clock = clock

    def heard(self, source: str, item: Snapshot | SourceError) -> None:
        """A source spoke, or says that it cannot be heard."""
        if isinstance(item, SourceError):
            self.meter.add(metrics.SOURCE_ERRORS, source)
            self.failing_s.setdefault(source, self._clock())
        else:
            self.meter.add(metrics.SOURCE_STATES, source)
            self.failing_s.pop(source, None)

    def asked(
        self,
        changes: Mapping[ServiceKey, tuple[DesiredService | None, DesiredService | None]],
        seen_s: float | None = None,
    ) -> None:
        """The desired state changed, at ``seen_s`` if not now; a change on top of one not in place counts from that."""
        now_s = self._clock() if seen_s is None else seen_s
        for key, (before, after) in changes.items():
            if before == after:
                continue
            self.asked_s.setdefault(key, now_s)
            self.untold_s.setdefault(key.vip, now_s)
            if before is None or after is None or replace(before, backends=()) != replace(after, backends=()):
                self._changed("service", _ACTIONS[before is not None, after is not None])
            old = {each.address: each for each in before.backends} if before else {}
            new = {each.address: each for each in after.backends} if after else {}
            for address in old.keys() | new.keys():
                if old.get(address) != new.get(address):
                    self._changed("endpoint", _ACTIONS[address in old, address in new])

    def _changed(self, kind: str, action: str) -> None:
        self.meter.add(metrics.DESIRED_CHANGE, self._node, kind, action)

    def applied(self, batches: int, outcomes: Mapping[tuple[type[Step], Outcome], int]) -> None:
        """Steps were handed to IPVS in so many batches, and answered."""
        self.meter.add(metrics.BATCHES, by=batches)
        for (step, outcome), number in outcomes.items():
            self.meter.add(metrics.STEPS, outcome.value, by=number)
            if outcome is Outcome.DONE:
                self.meter.add(metrics.PROGRAMMED, self._node, *_STEPS[step], by=number)

    def repaired(self, kind: str, number: int) -> None:
        """So many things of a kind differ from what was put there, and are put in order."""
        if number:
            self.meter.add(metrics.REPAIRS, kind, by=number)

    def configured(self, what: str, error: BirdError | None = None) -> None:
        """BIRD was given another set of VIPs or other sessions."""
        match error:
            case None:
                result = "done"
            case BirdRejected():
                result = "refused"
            case BirdUnreachable():
                result = "unreachable"
            case _:
                result = "failed"
        self.meter.add(metrics.CONFIGURES, what, result)

    def unwritten(self) -> None:
        """Something could not be written to the disk."""
        self.meter.add(metrics.WRITE_FAILURES)

    def passed(self, scope: str, ending: Ending, started_s: float) -> None:
        """A pass ended now. One that waits for the sources has done all it can; one that read nothing has not."""
        now_s = self._clock()
        self.meter.add(metrics.PASSES, scope, ending.value)
        if ending is not Ending.UNREADABLE:
            self.passed_s = now_s
        if ending is Ending.DONE:
            took_s = now_s - started_s
            self.meter.observe(metrics.PASS_SECONDS, took_s, scope)
            self.meter.observe(metrics.SYNC_TIME, took_s * _NS)
            self.meter.set(metrics.SYNC_TIME_LAST, took_s * _NS)

    def converged(self, memory: Memory) -> None:
        """Time what was read back since it was asked for, from the kernel and from BIRD."""
        now_s = self._clock()
        for key in [key for key in self.asked_s if _in_place(key, memory)]:
            waited_s = now_s - self.asked_s.pop(key)
            if key in memory.expected:  # one that goes away stays until its VIP is quiet: its removal has no hurry
                self.meter.observe(metrics.CONVERGENCE, waited_s, "kernel")
        for vip in [vip for vip in self.untold_s if _followed(vip, memory)]:
            self.meter.observe(metrics.CONVERGENCE, now_s - self.untold_s.pop(vip), "exported")


def _in_place(key: ServiceKey, memory: Memory) -> bool:
    if key not in memory.expected:
        return True
    proof = memory.proofs.get(key.vip)
    return key not in memory.changed and proof is not None and not proof.fault


def _followed(vip: Address, memory: Memory) -> bool:
    """Whether BIRD does with the VIP what its latest state asks for: the gate is open, or there is nothing to open."""
    state, proof, routing = memory.gates.get(vip), memory.proofs.get(vip), memory.routing
    if routing is None or any(key in memory.changed for key in memory.by_vip.get(vip, ())):
        return False
    if state is not None and state.announce:
        return any(peer.established and vip in peer.exported for peer in routing.peers)
    lacks_backends = proof is not None and not proof.ok and not proof.fault
    return vip not in routing.held and (vip not in memory.by_vip or lacks_backends)
