"""The guard in memory, with the answers of the real one: tests/contract/guard runs one suite on both."""

from dataclasses import replace

from appliance.errors import KernelError
from appliance.model.address import Address
from appliance.model.guard import Guard, GuardCounts, ObservedGuard
from tests.fakes.kernel import Faults


class FakeGuard(Faults):
    """Each ``apply`` is one step of the faults. ``replaced`` counts how often the whole table was made anew.

    ``ObservedGuard`` of a fresh one says that there is no table. ``meddle`` and ``flush`` are somebody else's hand.
    ``restart`` is another process, which has to learn how its rules are listed before it knows them again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.replaced = 0
        self.reads = 0
        self._learnt = True
        self._observed = ObservedGuard()
        self._refused: dict[Address, int] = {}

    def close(self) -> None:
        """There is nothing to give back."""

    def read(self, *, whole: bool = False) -> ObservedGuard:
        """The guard as it stands."""
        del whole
        self.reads += 1
        self.reading()
        return self._observed if self._learnt else replace(self._observed, intact=False)

    def apply(self, guard: Guard) -> None:
        """Make it stand."""
        error = self.next_step()
        if error:
            raise KernelError("replace", "fake guard", error)
        if error is not None:
            return
        self._learnt = True
        if not self._observed.intact:
            self.replaced += 1
            self._refused = {}
        self._refused = {vip: self._refused.get(vip, 0) for vip in guard.vips}
        self._observed = ObservedGuard(guard, intact=True)

    def remove(self) -> None:
        """Take it away."""
        self._observed = ObservedGuard()
        self._refused = {}

    def counts(self) -> GuardCounts:
        """Zeros for every VIP, and what ``refuse`` added."""
        self.reading()
        if self._observed.guard is None:
            return GuardCounts()
        limited = {rule.key.vip: 0 for rule in self._observed.guard.rules if rule.limit is not None}
        return GuardCounts(dict(self._refused), limited)

    def refuse(self, vip: Address, packets: int = 1) -> None:
        """Packets came to a VIP that no rule let through."""
        self._refused[vip] += packets

    def restart(self) -> None:
        """From now on it is asked by a process that has not applied anything yet."""
        self._learnt = False

    def flush(self) -> None:
        """What ``nft flush ruleset`` does."""
        self.remove()

    def meddle(self, guard: Guard | None = None) -> None:
        """Somebody changed elements, so that ``guard`` stands; without one, somebody changed a rule."""
        if guard is None:
            self._observed = replace(self._observed, intact=False)
        else:
            self._observed = replace(self._observed, guard=guard)
