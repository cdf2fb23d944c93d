"""What the agent takes for said of services: a list that lacks most of them is doubted first (I3).

Taking a VIP away from a pod ends its connections for good, so the rule is that of the directors (``decide.brake``):
what such a list lacks stays until the list has lasted. An event that says what went is obeyed at once.
"""

from collections.abc import Callable

from appliance.decide import brake
from appliance.decide.brake import BrakePolicy, BrakeState
from appliance.model.address import Address, address_order
from appliance.model.desired import Snapshot


class Belief:
    """``in_force`` is what is to be acted upon, None before anything was said."""

    def __init__(self, owned: Callable[[Address], bool], confirm_after_s: float) -> None:
        self.in_force: Snapshot | None = None
        self._owned = owned
        # One is enough: a VIP that stands in a pod for longer than needed attracts nothing, unlike one on a director.
        self._policy = BrakePolicy(confirm_after_s=confirm_after_s, min_vips=1)
        self._state: BrakeState | None = None

    def hear(self, said: Snapshot, now_s: float) -> None:
        """The source has said this."""
        state = brake.hear(self._state, self.in_force, said, self._policy, owned=self._owned, now_s=now_s)
        self._take(state)
        self.believe(now_s)

    def silent(self) -> None:
        """The source cannot be heard: a loss lasts only while it is said."""
        if self._state is not None:
            self._state = brake.silent(self._state)

    def believe(self, now_s: float) -> bool:
        """Whether a loss has lasted by now; it is in force from here on."""
        lasting = brake.lasting(self._state, self._policy, now_s) if self._state is not None else frozenset()
        if self._state is not None and lasting:
            self._take(brake.let_go(self._state, lasting))
        return bool(lasting)

    @property
    def doubt(self) -> str:
        """What is not believed yet; empty for nothing."""
        if self._state is None or not self._state.vips:
            return ""
        vips = sorted(self._state.vips, key=address_order)
        return (
            f"a list leaves out VIPs or all of their backends at once, {len(vips)} of them, first {vips[0]}: pods keep "
            f"them until it has said so for {self._policy.confirm_after_s:g} s"
        )

    def _take(self, state: BrakeState) -> None:
        self._state, self.in_force = state, state.in_force()
