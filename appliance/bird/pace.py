"""How often BIRD may be made to read its configuration again."""


class Pace:
    """The first change goes at once; afterwards one for each ``interval_s``. Times are of one monotonic clock."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next_s: float | None = None

    def ready_in_s(self, now_s: float) -> float:
        """Seconds to wait until the next change may go; 0 where it may go now."""
        return 0.0 if self._next_s is None else max(0.0, self._next_s - now_s)

    def spend(self, now_s: float) -> None:
        """A change goes now."""
        self._next_s = now_s + self._interval_s
