"""Whose turn it is: all targets in turn, spread evenly over the interval, never more often than a limit allows."""

from collections import deque
from collections.abc import Iterable

from appliance.model.check import ProbeTarget

_MOST_CREDIT_S = 0.05
HURRIED_SHARE = 0.2
"""Most of the time that may pass in a hurry: packets that get lost now and then must not make it the rule."""


class Rota:
    """Probe targets in the order of their turns; times in seconds on one clock.

    Each has its turn once in ``interval_s``, and once in ``hurried_s`` for as many rounds as ``hurry`` was told. Where
    that would be more than ``max_per_s`` turns a second, everybody's turns move apart alike.
    """

    def __init__(self, interval_s: float, max_per_s: float, hurried_s: float | None = None) -> None:
        self._wanted_interval_s = interval_s
        self._max_per_s = max_per_s
        self._hurried_s = interval_s if hurried_s is None else hurried_s
        self._hurried_turns = 0
        self._hurried_since_s = 0.0
        self._calm_until_s = float("-inf")
        self._members: dict[ProbeTarget, object] = {}
        self._turns: deque[tuple[ProbeTarget, object]] = deque()
        self._credit = 1.0
        self._at_s: float | None = None

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, target: ProbeTarget) -> bool:
        return target in self._members

    @property
    def interval_s(self) -> float:
        """Seconds between two turns of one target as things stand, but for a hurry."""
        return max(self._wanted_interval_s, len(self._members) / self._max_per_s)

    @property
    def _pace_s(self) -> float:
        if not self._hurried_turns:
            return self.interval_s
        return min(max(self._hurried_s, len(self._members) / self._max_per_s), self.interval_s)

    def hurry(self, rounds: int, now_s: float) -> None:
        """Have everybody's next turns come soon. The order stays: nobody is asked twice before all others were once."""
        if not self._hurried_turns and now_s >= self._calm_until_s:
            self._hurried_turns = rounds * len(self._members)
            self._hurried_since_s = now_s

    def add(self, targets: Iterable[ProbeTarget]) -> None:
        """Take on new targets, each at the end of the round."""
        for target in targets:
            if target not in self._members:
                # The token tells an old turn of a target that left and came back from its present one.
                token = self._members[target] = object()
                self._turns.append((target, token))

    def remove(self, targets: Iterable[ProbeTarget]) -> None:
        """Let targets go; what is left of their turns is passed over."""
        for target in targets:
            self._members.pop(target, None)

    def due(self, now_s: float) -> list[ProbeTarget]:
        """Whose turns have come since the last call. Turns that were slept through are lost, not made up for."""
        if not self._members:
            self._turns.clear()
            self._at_s = None
            self._hurried_turns = 0
            return []
        per_s = len(self._members) / self._pace_s
        passed_s = now_s - self._at_s if self._at_s is not None else 0.0
        self._at_s = now_s
        self._credit = min(self._credit + passed_s * per_s, max(1.0, _MOST_CREDIT_S * per_s))
        found: list[ProbeTarget] = []
        while self._credit >= 1.0 and self._turns:
            turn = self._turns.popleft()
            target, token = turn
            if self._members.get(target) is token:
                self._turns.append(turn)
                found.append(target)
                self._credit -= 1.0
        if self._hurried_turns:
            self._hurried_turns = max(self._hurried_turns - len(found), 0)
            self._calm_until_s = now_s + (now_s - self._hurried_since_s) * (1 / HURRIED_SHARE - 1)
        return found

    def next_in_s(self) -> float:
        """Seconds from the last call of ``due`` until the next turn; the whole interval where there is nobody."""
        if not self._members:
            return self._wanted_interval_s
        return max(0.0, 1.0 - self._credit) * self._pace_s / len(self._members)
