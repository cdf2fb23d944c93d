"""One fault, tried: from the moment it happens, what the router hears, what a client loses, and how long it takes.

A test reads like its row: ``fault`` is what happens, ``hears`` and ``sees`` are its effect, ``hears_nothing`` and
``steady`` what must not move, ``cure`` is where it ends. Whatever the router hears and the test does not name fails it.
"""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from tests.lab.boot import TREE
from tests.lab.faults.rows import Row
from tests.lab.faults.steady import Steady, steady
from tests.lab.faults.watcher import ANNOUNCED, CHANGED, WITHDRAWN, Change, Watcher, whats
from tests.lab.hosts import wait_until
from tests.lab.serving import BOTH, Serving
from tests.lab.topology import Director

RESULTS = TREE / ".cache/faults"
# The lab kernel has one processor, which both directors, the routers and the test share with whatever else runs here.
SLACK = 3.0
LEAST_S = 10.0
# A BGP session that has ended comes up again after a few seconds, and a director's start takes several here.
BACK_WITHIN_S = 90.0
MOST_NAMED = 8

_Seen = TypeVar("_Seen")


@dataclass
class Trial:
    """See above. ``lost`` and ``sent`` are datagrams of steady clients, ``measured_s`` the time to the first effect."""

    row: Row
    test: str
    serving: Serving
    watcher: Watcher
    measured_s: float | None = None
    back_s: float | None = None
    updates: int = 0
    sent: int = 0
    lost: int = 0
    cut_off: set[str] = field(default_factory=set)
    _fault_s: float = 0.0
    _cured: bool = False
    _unheard: list[Change] = field(default_factory=list)

    @property
    def deadline_s(self) -> float:
        """How long an effect is waited for: its bound with slack for the lab kernel."""
        return max(self.row.bound_s * SLACK, LEAST_S)

    @contextlib.contextmanager
    def fault(self) -> Iterator[None]:
        """What is done in this block is the fault; time runs from its beginning."""
        self._assert_silence()
        self._fault_s = time.time()
        yield

    @contextlib.contextmanager
    def cure(self) -> Iterator[None]:
        """What is done in this block ends the fault; what is heard from here on is the way back."""
        self._assert_silence()
        self._cured, self._fault_s = True, time.time()
        yield

    def hears(
        self,
        directors: Collection[str] = BOTH,
        *,
        withdrawn: Iterable[str] = (),
        changed: Iterable[str] = (),
        announced: Iterable[str] = (),
        beside: tuple[str, str, str] | None = None,
        within_s: float | None = None,
    ) -> list[Change]:
        """The router hears exactly this of these directors, each once, in any order; returns it with its times.

        ``beside`` is one more thing: director, what it does, VIP.

        Raises:
            AssertionError: something is missing after ``within_s`` (by default the row's deadline), or too much.
        """
        ordered = sorted(directors)
        wanted = Counter(
            [
                *whats(ordered, WITHDRAWN, withdrawn),
                *whats(ordered, CHANGED, changed),
                *whats(ordered, ANNOUNCED, announced),
                *([beside] if beside else []),
            ]
        )

        def complete() -> bool:
            self._unheard += self.watcher.changes()
            return not wanted - Counter(change.what for change in self._unheard)

        deadline_s = self.deadline_s if within_s is None else within_s
        try:
            wait_until(complete, deadline_s, "the router to hear it")
        finally:
            heard = Counter(change.what for change in self._unheard)
            missing, more = (wanted - heard).elements(), (heard - wanted).elements()
            assert heard == wanted, f"missing at the router: {few(missing)}; too much: {few(more)}"
        heard_now, self._unheard = self._unheard, []
        self._note(max(change.at_s for change in heard_now), len(heard_now))
        return heard_now

    def comes_back(self, directors: Collection[str], vips: Iterable[str]) -> None:
        """These directors, whose sessions had ended, announce these VIPs again, and none of any other.

        How often a session that comes up goes down once more is between two BIRDs and their BFD.
        """
        wanted = {str(ip_address(vip)) for vip in vips}

        def back() -> bool:
            self._unheard += self.watcher.changes()
            return all(self.watcher.known(each) == wanted for each in directors) and self._sessions_up()

        wait_until(back, BACK_WITHIN_S, f"{directors} to announce {wanted} again")
        heard, self._unheard = self._unheard, []
        others = [each.what for each in heard if each.director not in directors or str(each.vip) not in wanted]
        assert not others, f"too much at the router: {few(others)}"
        self._note(heard[-1].at_s, len(heard))

    def announced(self, director: str) -> set[str]:
        """The VIPs that the router has from a director now."""
        self._unheard += self.watcher.changes()
        return self.watcher.known(director)

    def sees(self, predicate: Callable[[], _Seen], what: str, within_s: float | None = None) -> _Seen:
        """An effect that the router does not hear of comes about; its time counts where it is the first one."""
        seen = wait_until(predicate, self.deadline_s if within_s is None else within_s, what)
        self._note(time.time(), 0)
        return seen

    def hears_nothing(self, passes: int = 4, of: Sequence[Director] = ()) -> None:
        """The directors, both or those ``of`` it, look at their work so many times more, and the router hears nothing.

        Within a dozen looks there is one at everything.
        """
        for director in of or self.serving.lab.directors:
            if director.name in self.serving.daemons and self.serving.daemons[director.name].running:
                self.serving.await_passes(director, passes)
        self._assert_silence()

    def heard_only(self, *vips: str) -> list[Change]:
        """What was heard so far is of these VIPs; how much that is was not to be foreseen."""
        self._unheard += self.watcher.changes()
        heard, self._unheard = self._unheard, []
        others = [change.what for change in heard if str(change.vip) not in vips]
        assert not others, f"the router heard what it should not: {few(others)}"
        if heard:
            self._note(heard[0].at_s, len(heard))
        return heard

    @contextlib.contextmanager
    def steady(self, *vips: str, may_lose: bool = False) -> Iterator[Steady]:
        """A steady client asks these VIPs all the while and is always answered, or with ``may_lose`` its losses count.

        Raises:
            AssertionError: a datagram was not answered.
        """
        with steady(self.serving.lab.client, *vips) as asking:
            yield asking
        self.sent += asking.sent.total()
        self.lost += asking.lost.total()
        assert asking.sent.total() > len(vips), "the steady client did not get to ask"
        assert may_lose or not asking.lost, f"lost {dict(asking.lost)} of {dict(asking.sent)} datagrams"

    def end(self) -> None:
        """Nothing was heard that the test did not name, and nothing was missed."""
        self._assert_silence()
        self.watcher.check(but=self.cut_off)

    def keep(self, folder: Path = RESULTS) -> None:
        """Write down what was measured."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "row": self.row.number,
            "test": self.test,
            "bound_s": self.row.bound_s,
            "measured_s": self.measured_s,
            "back_s": self.back_s,
            "updates": self.updates,
            "sent": self.sent,
            "lost": self.lost,
        }
        (folder / f"{self.test}.json").write_text(json.dumps(record, indent=1) + "\n")

    def _note(self, at_s: float, updates: int) -> None:
        if not self._fault_s:
            return  # what led up to the fault
        took_s = round(at_s - self._fault_s, 3)
        if self._cured:
            self.back_s = took_s if self.back_s is None else self.back_s
        else:
            self.updates += updates
            self.measured_s = took_s if self.measured_s is None else self.measured_s

    def _assert_silence(self) -> None:
        self._unheard += self.watcher.changes()
        surplus = [each.what for each in self._unheard]
        assert not surplus, f"the router heard what it should not: {few(surplus)}"

    def _sessions_up(self) -> bool:
        return all(session.established for session in self.serving.lab.router.sessions().values())


def few(whats: Iterable[tuple[str, str, str]]) -> str:
    """The first of many, and how many more there are."""
    words = [" ".join(each) for each in whats]
    return ", ".join(words[:MOST_NAMED]) + (f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else "")
