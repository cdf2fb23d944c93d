r"""The fight detector: something keeps undoing what we put in place. A state machine per thing, without clock or I/O.

::

             undone 3 times within 6 s               undone again: the next wait is twice as long
    quiet  ---------------------------->  fighting  --------------------------------------------+
      ^                                     |   ^                                               |
      +--- whole for 5 s after a repair ----+   +-----------------------------------------------+

A single undoing is repaired at once. In a fight the thing is left as it is until ``next_s``, repaired then, and waited
for: whoever repairs without end shares the blame for the outage, and hides who causes it. What is undone as often, but
slowly, is repaired each time and only told. A thing is one repair that has to be made again: a service that has to be
created, a destination that has to be set, an address that has to be put back, a route.
"""

from dataclasses import dataclass, replace

from appliance.decide.backoff import wait_s

KUBE_PROXY_LINK = "kube-ipvs0"
"""The dummy link that kube-proxy makes in IPVS mode and in no other (pkg/proxy/ipvs, defaultDummyDevice)."""


@dataclass(frozen=True, slots=True)
class FightPolicy:
    """What a fight is; times in seconds.

    ``undoings`` of one thing within ``window_s`` are a fight. It is repaired ``first_s`` later, and each time that it
    is undone again after a wait twice as long, up to ``longest_s``. The fight is over once a repair has held for
    ``calm_s``. As many undoings within ``remember_s`` are no fight, and worth to be told.
    """

    undoings: int = 3
    window_s: float = 6.0
    first_s: float = 1.0
    longest_s: float = 60.0
    calm_s: float = 5.0
    remember_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Fight:
    """What is remembered of a thing that was undone; times in seconds on the director's clock.

    ``undone_s`` are the latest undoings. ``broken`` is whether it is undone now; ``mended_s`` is when it was last
    repaired. ``waits`` counts the waits of this fight, 0 while there is none; ``next_s`` is the end of the latest.
    """

    undone_s: tuple[float, ...] = ()
    broken: bool = False
    mended_s: float = float("-inf")
    waits: int = 0
    next_s: float = float("-inf")

    @property
    def fighting(self) -> bool:
        """Whether this is a fight."""
        return self.waits > 0

    def may_repair(self, now_s: float) -> bool:
        """Whether the thing may be repaired now."""
        return now_s >= self.next_s


def undone(state: Fight | None, policy: FightPolicy, now_s: float) -> Fight:
    """The state once the thing is seen undone; None where nothing is remembered of it.

    It may be seen many times before it is repaired: only the first counts.
    """
    before = state or Fight()
    if before.broken:
        return before
    times_s = (*before.undone_s, now_s)[-policy.undoings :]
    after = replace(before, undone_s=times_s, broken=True)
    if not before.fighting and not _often(after, policy, policy.window_s):
        return after
    waits = before.waits + 1
    return replace(after, waits=waits, next_s=now_s + wait_s(waits, policy.first_s, policy.longest_s))


def mended(state: Fight, now_s: float) -> Fight:
    """The state once the thing is as it should be."""
    return replace(state, broken=False, mended_s=now_s) if state.broken else state


def calmed(state: Fight, policy: FightPolicy, now_s: float) -> Fight:
    """The state as time goes by: a fight ends once a repair has held."""
    held = not state.broken and now_s - state.mended_s >= policy.calm_s
    return replace(state, waits=0, next_s=float("-inf")) if state.fighting and held else state


def over(state: Fight, policy: FightPolicy, now_s: float) -> bool:
    """Whether nothing of the state matters any more."""
    return not state.fighting and not state.broken and now_s - state.undone_s[-1] > policy.remember_s


def worth_telling(state: Fight, policy: FightPolicy) -> bool:
    """Whether a person should look for who does it."""
    return state.fighting or _often(state, policy, policy.remember_s)


def suspect(*, in_ipvs: bool, kube_proxy: bool) -> str:
    """Who it probably is, and what to do; ``kube_proxy`` is whether KUBE_PROXY_LINK is there.

    ``in_ipvs`` is whether services or destinations are undone; otherwise it is addresses or their link.
    """
    if not in_ipvs:
        return "probably a network manager or a script: keep it off the link that carries the VIPs"
    if kube_proxy:
        return (
            f"probably kube-proxy in IPVS mode, whose link {KUBE_PROXY_LINK} is here: keep it off this node, or run it "
            "in another mode or network namespace"
        )
    return "probably another program that writes IPVS (keepalived, ipvsadm in a script) or a person: find and stop it"


def _often(state: Fight, policy: FightPolicy, within_s: float) -> bool:
    times_s = state.undone_s
    return len(times_s) == policy.undoings and times_s[-1] - times_s[0] <= within_s
