"""All that the director remembers between two passes. Nothing here is truth: the kernel and BIRD are read for that."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from appliance.decide.diff import DrainKey
from appliance.decide.gate import GateState
from appliance.decide.proof import Proof
from appliance.model.address import Address, Network
from appliance.model.desired import Desired, Snapshot
from appliance.model.observed import Observed, ObservedLink, ObservedService
from appliance.model.routing import Routing
from appliance.model.service import ServiceKey


@dataclass(slots=True)
class Memory:
    """The working state of one director.

    ``desired`` is None until every source has spoken once: before that nothing is known, so nothing is done.
    ``changed`` are services whose expected reading changed and that no pass has put in place yet: work on them is not
    a repair. ``reach`` counts, for each backend subnet, the services with backends in it. ``routing`` is None while
    BIRD cannot be read; ``installed`` says whether it was brought to run the configuration that is ours to write, and
    ``install_at_s`` when to try that next. ``sampled`` is where the canary's next sample begins. ``reading_s`` is the
    processor time of the latest full reading of the kernel. ``quiet`` says that the latest pass left nothing to do.
    ``drain_times_s`` holds the services whose drains last another time than the node's. ``stand_ins`` are the sources
    for which a snapshot of theirs stands in, and since when they had been saying it; ``held_over`` are VIPs that BIRD
    was found to announce then though no service of the snapshot wants them.
    """

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    desired: Desired | None = None
    stand_ins: dict[str, datetime] = field(default_factory=dict)
    held_over: frozenset[Address] = frozenset()
    expected: dict[ServiceKey, ObservedService] = field(default_factory=dict)
    by_vip: dict[Address, tuple[ServiceKey, ...]] = field(default_factory=dict)
    reach: Counter[Network] = field(default_factory=Counter)
    subnets: frozenset[Network] = frozenset()
    changed: set[ServiceKey] = field(default_factory=set)

    services: dict[ServiceKey, ObservedService] = field(default_factory=dict)
    sampled: int = 0
    reading_s: float = 0.0
    link: ObservedLink = ObservedLink()
    unroutable: frozenset[Network] = frozenset()
    routes_known: bool = False

    draining_s: dict[DrainKey, float] = field(default_factory=dict)
    drain_times_s: dict[ServiceKey, float] = field(default_factory=dict)
    gates: dict[Address, GateState] = field(default_factory=dict)
    proofs: dict[Address, Proof] = field(default_factory=dict)

    routing: Routing | None = None
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
        return frozenset(vip for vip, state in self.gates.items() if state.announce)

    @property
    def told(self) -> frozenset[Address]:
        """The VIPs that BIRD is to hold. While a snapshot stands in, no VIP goes because the snapshot lacks it (I3)."""
        return self.announce | (self.held_over - self.by_vip.keys() if self.stand_ins else frozenset())

    def keys_of(self, vips: Iterable[Address]) -> frozenset[ServiceKey]:
        """All wanted services on these VIPs."""
        return frozenset(key for vip in vips for key in self.by_vip.get(vip, ()))
