"""Back-off: what failed is tried again at growing intervals. A state machine per thing, without clock, I/O or log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """The first wait, doubled with every failure, and the longest; in seconds."""

    first_s: float = 0.2
    longest_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often in a row something has failed, and when it is to be tried next, in seconds on the director's clock."""

    failures: int = 0
    next_s: float = float("-inf")

    def due(self, now_s: float) -> bool:
        """Whether it may be tried now."""
        return now_s >= self.next_s


def failed(state: Backoff | None, policy: BackoffPolicy, now_s: float) -> Backoff:
    """The state after one more failure; None where there was none before."""
    failures = 1 + (state.failures if state is not None else 0)
    return Backoff(failures, now_s + wait_s(failures, policy.first_s, policy.longest_s))


def wait_s(number: int, first_s: float, longest_s: float) -> float:
    """The ``number``-th wait, from 1: ``first_s``, doubled each time up to ``longest_s``."""
    # Beyond 2**31 the doubling is far past any sensible maximum, and a float overflow is not.
    return min(first_s * float(2 ** min(number - 1, 31)), longest_s)
