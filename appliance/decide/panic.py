"""Panic hold: where nearly everything fails our own probes at once, the prober is the suspect. Pure.

A source that calls a backend not ready knows it from somebody who stands beside it. A probe knows only that its own
packets did not come back. Where over half of the VIPs lose their last good backend by nothing but our probes within a
few seconds, what they have in common is this node: the verdicts are held as they were, and a person is told. Losses
that come one by one are believed.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from appliance.model.address import Address, address_order

Target = TypeVar("Target", bound=Hashable)
"""What is probed, in whatever words the prober has for it."""


@dataclass(frozen=True, slots=True)
class PanicPolicy:
    """When verdicts are held; ``window_s`` in seconds.

    More than ``max_lost_fraction`` of the VIPs, and at least ``min_vips``, lost within ``window_s``: of fewer VIPs
    nobody can tell a dead prober from a dead service. A fraction of 1 disables the hold.
    """

    max_lost_fraction: float = 0.5
    min_vips: int = 3
    window_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Loss(Generic[Target]):
    """A VIP without a good target: since when (seconds), and which were good before that."""

    since_s: float
    good: frozenset[Target]


@dataclass(frozen=True, slots=True)
class PanicState(Generic[Target]):
    """What is remembered between two steps.

    ``good`` are the good targets of each VIP that has some, by the probes themselves; ``lost`` are the VIPs that lost
    their last one lately; ``held`` says that those are held as they were.
    """

    good: Mapping[Address, frozenset[Target]] = field(default_factory=dict)
    lost: Mapping[Address, Loss[Target]] = field(default_factory=dict)
    held: bool = False


class Panic(NamedTuple, Generic[Target]):
    """The next state, the verdicts to go by, and what a person is to be told: empty unless verdicts are held."""

    state: PanicState[Target]
    verdicts: Mapping[Target, bool]
    alarm: str


def step(
    state: PanicState[Target],
    verdicts: Mapping[Target, bool],
    by_vip: Mapping[Address, Collection[Target]],
    policy: PanicPolicy,
    now_s: float,
) -> Panic[Target]:
    """The verdicts to go by, after a probe said something new or the set of targets changed.

    Costs a look at every target. A VIP whose good targets were taken away by its source is no loss of ours, and one
    that was never seen good is none either: a target that was not probed yet should be given as good.

    Args:
        state: what the step before returned; ``PanicState()`` at first.
        verdicts: for every target whether the probes call it good, as they say it now.
        by_vip: for every VIP the targets that its source calls ready.
        policy: when to hold.
        now_s: the time, on a clock that does not jump.
    """
    good = {vip: frozenset(each for each in targets if verdicts.get(each)) for vip, targets in by_vip.items()}
    lost = _losses(state, by_vip, good, policy, now_s)
    alive = {vip: targets for vip, targets in good.items() if targets}
    most = policy.max_lost_fraction * (len(alive) + len(lost))
    held = len(lost) >= policy.min_vips and len(lost) > most
    after = PanicState(alive, lost, held)
    if not held:
        return Panic(after, verdicts, "")
    kept = frozenset[Target]().union(*(each.good & frozenset(by_vip[vip]) for vip, each in lost.items()))
    return Panic(after, {target: is_good or target in kept for target, is_good in verdicts.items()}, _alarm(after))


def trust(state: PanicState[Target]) -> PanicState[Target]:
    """The state once a person has said that the probes are right: what is lost now is held no more."""
    return PanicState(state.good)


def _losses(
    state: PanicState[Target],
    by_vip: Mapping[Address, Collection[Target]],
    good: Mapping[Address, frozenset[Target]],
    policy: PanicPolicy,
    now_s: float,
) -> dict[Address, Loss[Target]]:
    """The VIPs that are lost now and count: all that is held, and what was lost within the window."""
    before = {
        vip: each for vip, each in state.lost.items() if state.held or now_s - each.since_s <= policy.window_s
    } | {vip: Loss(now_s, targets) for vip, targets in state.good.items() if not good.get(vip)}
    return {
        vip: each
        for vip, each in before.items()
        if vip in by_vip and not good[vip] and not each.good.isdisjoint(by_vip[vip])
    }


def _alarm(state: PanicState[Target]) -> str:
    total = len(state.good) + len(state.lost)
    return (
        f"{len(state.lost)} of {total} VIPs lost their last good backend by this node's own probes at once "
        f"({_named(state.lost)}): the prober is suspected, its verdicts are held as they were"
    )


def _named(vips: Iterable[Address]) -> str:
    first, *others = sorted(vips, key=address_order)
    return f"{first} and {len(others)} more" if others else str(first)
