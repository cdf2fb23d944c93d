"""When a drained VIP may be withdrawn: once routers had the time to send its clients elsewhere. Pure."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """How long to wait after the VIP was seen de-preferred; times in seconds.

    At least ``settle_s``, and until no new connection has come for that long; ``timeout_s`` ends it in any case, also
    that of a VIP that BIRD does not de-prefer.
    """

    settle_s: float = 2.0
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Wait:
    """The wait of one VIP: since when BIRD tells routers to avoid it, and since when its connections have not grown.

    ``connections`` is what the kernel counted so far, None where that could not be read. Where BIRD has not ``told``
    routers yet, it is the wait for that.
    """

    since_s: float
    quiet_since_s: float
    connections: int | None = None
    told: bool = True


def step(wait: Wait | None, connections: int | None, now_s: float, *, told: bool = True) -> Wait:
    """The wait after another look at the counter; a counter that went back is one that was begun anew."""
    if wait is None or (told and not wait.told):
        return Wait(now_s, now_s, connections, told)
    if connections is None or connections == wait.connections:
        return wait
    return replace(wait, connections=connections, quiet_since_s=now_s)


def over(wait: Wait, policy: WaitPolicy, now_s: float) -> bool:
    """Whether the wait is over."""
    lasted_s, quiet_s = now_s - wait.since_s, now_s - wait.quiet_since_s
    return lasted_s >= policy.timeout_s or (wait.told and lasted_s >= policy.settle_s and quiet_s >= policy.settle_s)


def left_s(wait: Wait, policy: WaitPolicy, now_s: float) -> float:
    """The seconds after which the wait may be over, if no new connection comes."""
    quiet_s = max(wait.since_s, wait.quiet_since_s) + policy.settle_s - now_s
    last_s = wait.since_s + policy.timeout_s - now_s
    return max(min(quiet_s, last_s) if wait.told else last_s, 0.0)
