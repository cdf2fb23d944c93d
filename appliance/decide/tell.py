"""What was done -> what is told to the owners of the services. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from appliance.decide.gate import GatePolicy, GateState
from appliance.decide.proof import Proof
from appliance.model.address import Address, address_order
from appliance.model.desired import Problem
from appliance.model.happening import Happening, Reason
from appliance.model.plan import (
    AddDestination,
    AddService,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
)
from appliance.model.service import ServiceKey

MOST_NAMED = 3
"""Of more destinations the others are counted."""

NOT_ANNOUNCED_AFTER_S = 5.0
"""A VIP that is only being proven, or repaired, is announced sooner."""

# Of why a VIP is not announced, what does not pass by itself and is no operator's doing.
_TOLD_WORDS = frozenset({"kernel", "backends", "mtu", "repairs"})
_DESTINATIONS = (Reason.CREATED_DESTINATION, Reason.UPDATED_DESTINATION, Reason.DELETED_DESTINATION)


def programmed(steps: Iterable[ServiceStep], owners: Mapping[ServiceKey, str]) -> Iterator[Happening]:
    """What steps that were carried out mean to the owners of the services; those of nobody are left out.

    One line for each service and kind of step. The switch of a service that was loaded under another scheduler belongs
    to its creation.
    """
    grouped: dict[ServiceKey, dict[Reason, list[str]]] = {}
    for step in sorted(steps, key=_order):
        key, reason, text = _told(step)
        if key in owners:
            grouped.setdefault(key, {}).setdefault(reason, []).append(text)
    for key, reasons in grouped.items():
        if Reason.CREATED_SERVICE in reasons:
            reasons.pop(Reason.UPDATED_SERVICE, None)
        for reason, texts in reasons.items():
            detail = _listed(texts) if reason in _DESTINATIONS else texts[-1]
            yield Happening(owners[key], reason, f"{key}: {detail}" if detail else str(key))


def announced(
    before: Collection[Address],
    after: Collection[Address],
    reasons: Mapping[Address, str],
    owners: Mapping[Address, Collection[str]],
) -> Iterator[Happening]:
    """What a change of the announced VIPs means to the owners of services on them, with the gate's reason."""
    for vip in sorted({*before} ^ {*after}, key=address_order):
        reason = Reason.ANNOUNCED if vip in after else Reason.WITHDRAWN
        for owner in owners.get(vip, ()):
            yield Happening(owner, reason, f"{vip}: {reasons.get(vip, 'no longer wanted')}")


def reason_word(state: GateState, proof: Proof | None, policy: GatePolicy) -> str:
    """Why the gate is as it is, as one of the few words that the metric ``vip_gate`` lists in its help."""
    if state.announce:
        return "announced"
    if proof is None:
        return "unknown"
    if proof.fault:
        return "kernel"
    if not proof.ok or proof.caution:
        return "mtu" if proof.ok else "backends"
    if len(state.repairs_s) >= policy.max_repairs:
        return "repairs"
    return "held_down" if state.proofs >= policy.rise else "rising"


@dataclass(frozen=True, slots=True)
class Silence:
    """Why a VIP is not announced, as a ``word``, and since when; its owners know of the words in ``told``."""

    word: str
    since_s: float
    told: frozenset[str] = frozenset()

    def overdue(self, now_s: float) -> bool:
        """Whether its owners should know by now, and do not."""
        return self.word in _TOLD_WORDS and self.word not in self.told and now_s - self.since_s >= NOT_ANNOUNCED_AFTER_S

    def tell(self) -> "Silence":
        """The same, once its owners were told."""
        return replace(self, told=self.told | {self.word})


def silences(before: Mapping[Address, Silence], words: Mapping[Address, str], now_s: float) -> dict[Address, Silence]:
    """The silences now: ``words`` says of each VIP that is not announced why. One that is announced is forgotten."""
    found = {}
    for vip, word in words.items():
        known = before.get(vip, Silence(word, now_s))
        found[vip] = known if known.word == word else Silence(word, now_s, known.told)
    return found


def not_announced(
    vips: Collection[Address], reasons: Mapping[Address, str], owners: Mapping[Address, Collection[str]]
) -> Iterator[Happening]:
    """What it means to the owners of services on them that these VIPs are not announced, with the gate's reason."""
    for vip in sorted(vips, key=address_order):
        for owner in owners.get(vip, ()):
            yield Happening(owner, Reason.NOT_ANNOUNCED, f"{vip}: {reasons[vip]}")


def refused(before: Collection[Problem], after: Iterable[Problem]) -> Iterator[Happening]:
    """The problems that are new, to whom they concern in a cluster; those of files are the operator's business."""
    known = frozenset(before)
    for problem in after:
        if problem.owner and problem.in_cluster and problem not in known:
            yield Happening(problem.owner, Reason.REFUSED, str(problem))


def _told(step: ServiceStep) -> tuple[ServiceKey, Reason, str]:
    match step:
        case AddService(service):
            return service.key, Reason.CREATED_SERVICE, ""
        case SetService(service):
            text = f"scheduler {service.scheduler}, flags {int(service.flags):#x}"
            return service.key, Reason.UPDATED_SERVICE, text
        case RemoveService(key):
            return key, Reason.DELETED_SERVICE, ""
        case AddDestination(key, destination):
            return key, Reason.CREATED_DESTINATION, str(destination.address)
        case SetDestination(key, destination):
            return key, Reason.UPDATED_DESTINATION, f"{destination.address} weight {destination.weight}"
        case RemoveDestination(key, destination):
            return key, Reason.DELETED_DESTINATION, str(destination.address)


def _order(step: ServiceStep) -> tuple[int, int, int]:
    """Services as they come, then destinations by address: they are loaded in the reverse order."""
    match step:
        case AddDestination(_, destination) | SetDestination(_, destination) | RemoveDestination(_, destination):
            return (1, *address_order(destination.address))
        case _:
            return 0, 0, 0


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return ", ".join(texts[:MOST_NAMED]) + more
