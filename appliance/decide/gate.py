r"""The gate: when a VIP may be announced. A state machine per VIP, without clock, I/O or log.

::

             proof ok, fewer than rise             proof ok, rise reached, not held down
    DOWN  ----------------------------->  DOWN  ------------------------------------------>  UP
     ^  \__ proof bad, with a caution, or repaired: proofs back to 0                           |
     |                                                                                       |
     +----  proof bad, repaired too often, no longer wanted, or drained: at once  -----------+

Every way down but an operator's drain counts as a flap, also that of a VIP whose services were deleted: its state is to
be kept until it is forgotten, or a service that is deleted and made anew all the time would never be damped.
"""

import enum
from dataclasses import dataclass, replace

from appliance.decide.proof import Proof


class Phase(enum.Enum):
    """Whether the gate lets the VIP be announced."""

    DOWN = "down"
    UP = "up"


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """How cautious the gate is; times in seconds.

    ``rise`` proofs in a row, ``apart_s`` from each other, open it: what flaps is found whole many times in a moment.
    ``max_repairs`` repairs within ``repair_window_s`` close it: what has to be
    repaired again and again is broken, whatever each single reading says. After ``free_flaps`` withdrawals less than
    ``forget_s`` apart, opening waits ``initial_hold_s``, doubled each time up to ``max_hold_s``.
    """

    rise: int = 3
    apart_s: float = 0.0
    max_repairs: int = 3
    repair_window_s: float = 2.5
    free_flaps: int = 1
    initial_hold_s: float = 1.0
    max_hold_s: float = 60.0
    forget_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one pass found out about a VIP. ``proof`` is None when nobody wants the VIP any more.

    ``repaired`` says that this pass had to mend something of it before the proof held. ``drained`` is why an operator
    does not want it announced here, empty where none forbids it.
    """

    proof: Proof | None
    repaired: bool = False
    drained: str = ""


@dataclass(frozen=True, slots=True)
class GateState:
    """All that the gate remembers of a VIP; times are on the director's monotonic clock.

    ``proven_s`` is when the latest proof that counts was.
    """

    phase: Phase = Phase.DOWN
    since_s: float = 0.0
    reason: str = "not proven yet"
    proofs: int = 0
    repairs_s: tuple[float, ...] = ()
    flaps: int = 0
    withdrawn_s: float = float("-inf")
    hold_until_s: float = float("-inf")
    proven_s: float = float("-inf")

    @property
    def announce(self) -> bool:
        """Whether the VIP is to be announced."""
        return self.phase is Phase.UP

    @property
    def at_rest(self) -> bool:
        """Whether another good proof would change nothing: the VIP is announced, and no repair may still count."""
        return self.phase is Phase.UP and not self.repairs_s


def adopted(now_s: float) -> GateState:
    """The state of a VIP that BIRD announced already when the director started: judged, not flapped (I7)."""
    return GateState(Phase.UP, now_s, "found announced at start")


def recent_repairs(state: GateState, policy: GatePolicy, now_s: float) -> tuple[float, ...]:
    """When the repairs were that still count."""
    return tuple(at for at in state.repairs_s if now_s - at <= policy.repair_window_s)


def step(state: GateState, evidence: Evidence, policy: GatePolicy, now_s: float) -> GateState:
    """The state after one pass."""
    repairs = recent_repairs(state, policy, now_s)
    if evidence.repaired:
        repairs = (*repairs, now_s)[-policy.max_repairs :]
    if repairs != state.repairs_s:
        state = replace(state, repairs_s=repairs)
    if evidence.proof is None:
        return _withdraw(state, "no longer wanted", policy, now_s)
    if evidence.drained:
        return _drain(state, evidence.drained, now_s)
    if not evidence.proof.ok:
        return _withdraw(state, evidence.proof.reason, policy, now_s)
    if len(repairs) >= policy.max_repairs:
        reason = f"repaired {len(repairs)} times within {policy.repair_window_s:g} s: something keeps undoing it"
        return _withdraw(state, reason, policy, now_s)
    if state.phase is Phase.UP:
        return _because(state, evidence.proof.reason)
    return _rise(state, evidence.proof, policy, now_s, repaired=evidence.repaired)


def _rise(state: GateState, proof: Proof, policy: GatePolicy, now_s: float, *, repaired: bool) -> GateState:
    if proof.caution:
        return replace(state, proofs=0, reason=proof.caution)
    counts = not repaired and now_s - state.proven_s >= policy.apart_s
    state = replace(state, proven_s=now_s) if counts else state
    proofs = 0 if repaired else min(state.proofs + counts, policy.rise)
    if proofs < policy.rise:
        return replace(state, proofs=proofs, reason=f"proven {proofs} of {policy.rise} times")
    if now_s < state.hold_until_s:
        left_s = state.hold_until_s - now_s
        return replace(state, proofs=proofs, reason=f"proven, held down {left_s:.0f} s more after {state.flaps} flaps")
    return replace(state, phase=Phase.UP, since_s=now_s, proofs=proofs, reason=proof.reason)


def _withdraw(state: GateState, reason: str, policy: GatePolicy, now_s: float) -> GateState:
    if state.phase is Phase.DOWN:
        return _because(state, reason)
    flaps = 1 + (state.flaps if now_s - state.withdrawn_s <= policy.forget_s else 0)
    return replace(
        state,
        phase=Phase.DOWN,
        since_s=now_s,
        proofs=0,
        reason=reason,
        flaps=flaps,
        withdrawn_s=now_s,
        hold_until_s=now_s + hold_s(flaps, policy),
    )


def _drain(state: GateState, reason: str, now_s: float) -> GateState:
    """Down by order: that is no flap, so the return waits for nothing but its proofs."""
    if state.phase is Phase.DOWN:
        return _because(state, reason)
    return replace(state, phase=Phase.DOWN, since_s=now_s, proofs=0, reason=reason)


def _because(state: GateState, reason: str) -> GateState:
    """The state without a change of phase: one that is down has to begin anew with its proofs."""
    proofs = 0 if state.phase is Phase.DOWN else state.proofs
    # Most of thousands of VIPs are as they were, and to make a value anew costs more than to look.
    return state if state.reason == reason and state.proofs == proofs else replace(state, proofs=proofs, reason=reason)


def forgotten(state: GateState, policy: GatePolicy, now_s: float) -> bool:
    """Whether nothing of the state matters any more: the VIP is down, and its last withdrawal too long ago to count."""
    return state.phase is Phase.DOWN and now_s - state.withdrawn_s > max(policy.forget_s, policy.max_hold_s)


def hold_s(flaps: int, policy: GatePolicy) -> float:
    """How long opening waits after the ``flaps``-th withdrawal in a row."""
    counted = flaps - policy.free_flaps
    if counted <= 0:
        return 0.0
    # Beyond 2**31 the doubling is far past any sensible maximum, and a float overflow is not.
    return float(min(policy.initial_hold_s * 2 ** min(counted - 1, 31), policy.max_hold_s))
