"""All that the director remembers between two passes. Nothing here is truth: the kernel and BIRD are read for that."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from appliance.decide.backoff import Backoff
from appliance.decide.brake import BrakeState
from appliance.decide.check import CheckState
from appliance.decide.diff import DrainKey
from appliance.decide.drain import Wait
from appliance.decide.fight import Fight
from appliance.decide.gate import GateState
from appliance.decide.panic import PanicState
from appliance.decide.proof import Proof
from appliance.director.build import USUAL_STEP_S
from appliance.director.guard_memory import GuardMemory
from appliance.model.address import Address, Network
from appliance.model.check import ProbeTarget
from appliance.model.desired import Desired, Snapshot
from appliance.model.drain import Drains
from appliance.model.observed import Observed, ObservedLink, ObservedService
from appliance.model.plan import Step
from appliance.model.routing import Announcement, Routing
from appliance.model.service import ServiceKey


@dataclass(slots=True)
class Memory:
    """The working state of one director.

    ``desired`` is None until every source has spoken once: before that nothing is known, so nothing is done;
    ``generation`` counts the desired states so far. ``changed`` are services whose expected reading changed and that no
    pass has put in place yet: work on them is not a repair; ``stuck`` are those that the latest pass tried in vain,
    ``unreached`` those that it had no time for, and ``step_s`` is how long a step took when that was timed last.
    ``reach`` counts, for each backend subnet, the services with backends in it; ``narrow`` are those of these subnets
    whose path takes too small packets only, with its MTU. ``routing`` is None while BIRD cannot be read; ``stood`` is
    what it was last read to do as told, ``rivalry`` how often somebody undid that; ``installed`` says whether it was
    brought to run the configuration that is ours to write, and ``install_at_s`` when to try that next. ``sampled`` is
    where the canary's next sample begins. ``reading_s`` is the processor time of the latest full reading of the kernel.
    ``quiet`` says that the latest pass left nothing to do. ``drain_times_s`` holds the services whose drains last
    another time than the node's. ``stand_ins`` are the sources for which a snapshot of theirs stands in, and since when
    they had been saying it; ``held_over`` are VIPs that BIRD was found to announce then though no service of the
    snapshot wants them. ``drains`` are the operator's orders, ``ordered`` says that no pass has seen the latest yet,
    ``waits`` is how far the VIPs are that are on their way out, to be looked at again at ``waits_due_s``, ``evacuated``
    are those whose wait is over. ``announced`` are the VIPs whose gate is open, ``moved`` is what of the gates is still
    to be told. ``probed`` are the targets of the active checks, ``checks`` those whose
    state is not plainly good, ``failing`` what follows for the kernel; ``unsent`` cannot be asked now, and
    ``unsettled`` says that verdicts are to be weighed anew. ``backoffs`` are the steps that the kernel refused,
    ``fights`` what was undone lately; ``kube_proxy`` is whether its link was found when the present fights began.
    ``setbacks`` are settings of the host that were not as they should be lately, which are looked at again at
    ``settings_due_s``. ``taken`` are wanted VIPs that another link has too. ``brakes`` are the sources of which losses
    are withheld, while ``snapshots`` hold what is in force. ``claimed`` are the services that directors of this node
    made (None: nobody wrote that down), ``claims_due`` says that this is still to be written; ``strangers`` are those
    inside our pools that somebody else made.
    """

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    desired: Desired | None = None
    generation: int = 0
    stand_ins: dict[str, datetime] = field(default_factory=dict)
    held_over: frozenset[Address] = frozenset()
    brakes: dict[str, BrakeState] = field(default_factory=dict)
    expected: dict[ServiceKey, ObservedService] = field(default_factory=dict)
    by_vip: dict[Address, tuple[ServiceKey, ...]] = field(default_factory=dict)
    reach: Counter[Network] = field(default_factory=Counter)
    subnets: frozenset[Network] = frozenset()
    changed: set[ServiceKey] = field(default_factory=set)
    stuck: frozenset[ServiceKey] = frozenset()
    unreached: frozenset[ServiceKey] = frozenset()
    step_s: float = USUAL_STEP_S

    services: dict[ServiceKey, ObservedService] = field(default_factory=dict)
    claimed: set[ServiceKey] | None = None
    claims_due: bool = False
    strangers: frozenset[ServiceKey] = frozenset()
    sampled: int = 0
    reading_s: float = 0.0
    link: ObservedLink = ObservedLink()
    unroutable: frozenset[Network] = frozenset()
    narrow: dict[Network, int] = field(default_factory=dict)
    taken: frozenset[Address] = frozenset()
    routes_known: bool = False

    draining_s: dict[DrainKey, float] = field(default_factory=dict)
    drain_times_s: dict[ServiceKey, float] = field(default_factory=dict)
    backoffs: dict[Step, Backoff] = field(default_factory=dict)
    fights: dict[tuple[ServiceKey | Address | str, type[Step], object], Fight] = field(default_factory=dict)
    kube_proxy: bool | None = None
    settings_due_s: float = 0.0
    setbacks: dict[str, Fight] = field(default_factory=dict)
    guard: GuardMemory = field(default_factory=GuardMemory)
    gates: dict[Address, GateState] = field(default_factory=dict)
    announced: set[Address] = field(default_factory=set)
    moved: list[tuple[Address, GateState, GateState]] = field(default_factory=list)
    proofs: dict[Address, Proof] = field(default_factory=dict)

    probed: dict[ServiceKey, frozenset[ProbeTarget]] = field(default_factory=dict)
    checks: dict[ProbeTarget, CheckState] = field(default_factory=dict)
    unsent: set[ProbeTarget] = field(default_factory=set)
    panic: PanicState[ProbeTarget] = field(default_factory=PanicState)
    failing: dict[ServiceKey, frozenset[Address]] = field(default_factory=dict)
    unsettled: bool = False

    drains: Drains = Drains()
    ordered: bool = False
    waits: dict[Address, Wait] = field(default_factory=dict)
    waits_due_s: float = 0.0
    evacuated: set[Address] = field(default_factory=set)

    routing: Routing | None = None
    stood: Announcement | None = None
    rivalry: Fight | None = None
    installed: bool = False
    install_at_s: float = 0.0
    adopted: bool = False
    silent_s: dict[Address, float] = field(default_factory=dict)
    quiet: bool = False
    passes: int = 0

    @property
    def observed(self) -> Observed:
        """The latest reading of the kernel."""
        return Observed(self.services, self.link, self.unroutable)

    @property
    def announce(self) -> frozenset[Address]:
        """The VIPs that the gate lets out."""
        return frozenset(self.announced)

    def judge(self, vip: Address, state: GateState) -> None:
        """Remember the state of the VIP's gate; ``announced`` keeps up, since thousands are asked for several times."""
        self.gates[vip] = state
        if state.announce:
            self.announced.add(vip)
        else:
            self.announced.discard(vip)

    @property
    def told(self) -> frozenset[Address]:
        """The VIPs that BIRD is to hold. While a snapshot stands in, no VIP goes because the snapshot lacks it (I3)."""
        if not self.stand_ins:
            return self.announce
        held_over = self.held_over - self.by_vip.keys() - self.evacuated
        at_once = frozenset(vip for vip in held_over if (order := self.drains.of(vip)) is not None and order.now)
        return self.announce | held_over - at_once

    def keys_of(self, vips: Iterable[Address]) -> frozenset[ServiceKey]:
        """All wanted services on these VIPs."""
        return frozenset(key for vip in vips for key in self.by_vip.get(vip, ()))
