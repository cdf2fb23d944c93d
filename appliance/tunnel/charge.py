"""One pod in the agent's care: what is known of it, and when it is looked at next."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.decide.backoff import Backoff, BackoffPolicy, failed
from appliance.decide.linger import Holding, adopt, hold
from appliance.decide.tunnel import Decision
from appliance.errors import ApplianceError
from appliance.model.address import Network
from appliance.model.pod import Pod
from appliance.model.tunnel import Listener, TunnelVip, TunnelWant


@dataclass(slots=True)
class Charge:
    """A pod. ``stood`` is what was last read to stand in its namespace, None where that is not known.

    ``error`` is why the last attempt failed. ``place`` is the name of its namespace, ``pid`` a process in it.
    ``said`` is whether its condition says that it is ready, and ``said_reason`` why; ``told`` is what was told once and
    need not be again. ``is_inherited``: its container may have VIPs from an agent before this one.
    """

    pod: Pod
    decision: Decision = field(default_factory=Decision)
    holding: Holding = field(default_factory=Holding)
    stood: TunnelWant | None = None
    opened: frozenset[Listener] = frozenset()
    place: str | None = None
    pid: int | None = None
    error: ApplianceError | None = None
    backoff: Backoff | None = None
    next_s: float = -math.inf
    said: bool | None = None
    said_reason: str = ""
    told: set[str] = field(default_factory=set)
    is_busy: bool = False
    is_inherited: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether its namespace is any business of ours: it has, or had, something of ours, or is still unseen.

        A pod that is to be left alone is not looked at, unless to take away what was put there before.
        """
        if self.pod.host_network or not self.pod.container:
            return False
        had = self.stood is not None and self.stood != TunnelWant()
        return bool(self.holding.want.vips) or had or (self.stood is None and not self.pod.ignored_by)

    @property
    def is_ready(self) -> bool:
        """Whether all VIPs that are wanted of it stand."""
        return self.error is None and self.stood is not None and self.decision.want.vips <= self.stood.vips

    def due_s(self) -> float:
        """When it is to be looked at next."""
        return min(self.next_s, self.holding.ends_s) if self.is_ours else math.inf

    def see(self, pod: Pod) -> None:
        """The pod as the API server has it now."""
        if pod.container != self.pod.container or pod.uid != self.pod.uid:
            # Another sandbox perhaps, with nothing in it.
            self.stood = self.pid = None
            self.opened = frozenset()
            self.is_inherited = False
            self.backoff = None
            self.next_s = -math.inf
        if (pod.uid, pod.condition) != (self.pod.uid, self.pod.condition):
            self.said, self.said_reason = pod.condition, pod.condition_reason
        self.pod = pod

    def decide(self, decision: Decision, *, now_s: float, linger_s: float) -> None:
        """What the services want of it now."""
        self.decision = decision
        keep_s = 0.0 if self.pod.ignored_by else linger_s
        holding = hold(self.holding, decision.want, now_s=now_s, linger_s=keep_s)
        if holding.want != self.holding.want:
            self.next_s = -math.inf
            self.backoff = None
        self.holding = holding

    def inherit(self, found: Iterable[TunnelVip], directors: tuple[Network, ...] | None, *, until_s: float) -> None:
        """These VIPs were found there; those that nobody wants stay for a while, unless the pod is to be left alone."""
        self.is_inherited = False
        if not self.pod.ignored_by:
            self.holding = adopt(self.holding, found, directors, until_s=until_s)

    def stands(self, want: TunnelWant, *, next_s: float) -> None:
        """Exactly ``want`` was read to stand."""
        self.stood, self.opened = want, want.listeners
        self.error = self.backoff = None
        # Something else may be wanted by now.
        self.next_s = next_s if want == self.holding.want else -math.inf

    def failed(self, error: ApplianceError, policy: BackoffPolicy, *, now_s: float) -> None:
        """The attempt failed; another one comes later, each time after a longer while."""
        self.error, self.pid = error, None
        self.backoff = failed(self.backoff, policy, now_s)
        self.next_s = self.backoff.next_s
