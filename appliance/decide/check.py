r"""When a backend that is probed counts as ready. A state machine per target, without clock, I/O or log.

::

             fall failures in a row                    rise answers in a row
    TRUSTED ------------------------> FAILING  --------------------------------> TRUSTED

A target begins as TRUSTED: until its probes say otherwise it counts as its source says. Checks only ever take away.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from appliance.model.check import ProbeAnswer, ProbeResult, ProbeTarget
from appliance.model.desired import DesiredService
from appliance.model.observed import ObservedService
from appliance.model.service import Protocol, TunnelType


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """How many answers in a row it takes to change the verdict on a target."""

    rise: int = 2
    fall: int = 3


@dataclass(frozen=True, slots=True)
class CheckState:
    """All that is remembered of a target.

    ``against`` counts the answers in a row that contradict the verdict; ``reason`` is why it fails, in words.
    """

    failing: bool = False
    against: int = 0
    reason: str = ""

    @property
    def latest_well(self) -> bool:
        """Whether the latest probe was answered."""
        return self.failing == (self.against > 0)


TRUSTED = CheckState()
FOUND_AT_ZERO = CheckState(failing=True, reason="found at weight 0 at start")
"""The state of a target whose destination a director before us had put at weight 0 (I7)."""

_REASONS = {
    ProbeAnswer.SILENT: "no answer through the tunnel",
    ProbeAnswer.REFUSED: "the server refuses connections to the port",
}


def step(state: CheckState, answer: ProbeAnswer, policy: CheckPolicy) -> CheckState:
    """The state after one probe; one that could not be sent changes nothing."""
    if answer is ProbeAnswer.UNSENT:
        return state
    well = answer is ProbeAnswer.ACCEPTED
    if well != state.failing:
        return replace(state, against=0) if state.against else state
    against = state.against + 1
    if against < (policy.rise if well else policy.fall):
        return replace(state, against=against)
    return TRUSTED if well else CheckState(failing=True, reason=_REASONS[answer])


def targets(service: DesiredService) -> frozenset[ProbeTarget]:
    """What of a service is probed: the backends that its source calls ready, where a probe is a packet like its own.

    That is TCP through IPIP with both addresses of one family. UDP has no answer that every server gives; for GUE and
    GRE the kernel offers no socket that writes their headers.
    """
    if service.key.protocol is not Protocol.TCP or service.tunnel.type is not TunnelType.IPIP:
        return frozenset()
    version = service.key.vip.version
    ready = (each.address for each in service.backends if each.ready and each.weight > 0)
    return frozenset(ProbeTarget(service.key, address) for address in ready if address.version == version)


def at_zero(probed: Iterable[ProbeTarget], observed: ObservedService) -> Iterator[ProbeTarget]:
    """Those of the targets of a service whose destinations stand at weight 0."""
    quiescent = {each.address for each in observed.destinations if each.weight == 0}
    return (target for target in probed if target.backend in quiescent)


def unsent(results: Iterable[ProbeResult], known: Collection[ProbeTarget]) -> set[ProbeTarget]:
    """The targets that cannot be asked, given those ``known`` so far and fresh results."""
    after = set(known)
    for result in results:
        if result.answer is ProbeAnswer.UNSENT:
            after.add(result.target)
        else:
            after.discard(result.target)
    return after
