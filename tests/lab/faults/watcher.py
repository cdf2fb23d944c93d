"""What the router hears: every route that a director announces, changes or takes back, and when.

BIRD at the router writes a line for each route that an UPDATE carries (``debug { routes }``, BIRD manual); its
counters, which are kept elsewhere in BIRD, say whether any was missed.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address, ip_network

from tests.lab.plan import Address
from tests.lab.router import Router, Session

ANNOUNCED, CHANGED, WITHDRAWN, REPEATED = "announced", "changed", "withdrawn", "repeated"
# rte_recalculate() in nest/rt-table.c (BIRD 2, 3). A route that replaces another one is "added" there.
_KINDS = {"added": ANNOUNCED, "updated": ANNOUNCED, "removed": WITHDRAWN, "withdrawn": WITHDRAWN, "ignored": REPEATED}
_LINE = re.compile(
    r"^(?P<at>[0-9-]+ [0-9:.]+) <TRACE> (?P<session>\w+)(?:\.ipv[46])? > (?P<kind>\w+)[^/]*? (?P<prefix>\S+/\d+)",
    re.ASCII | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One route of one UPDATE: who said what of which VIP, in seconds since the epoch by the lab's clock."""

    at_s: float
    director: str
    kind: str
    vip: Address

    @property
    def what(self) -> tuple[str, str, str]:
        return self.director, self.kind, str(self.vip)


@dataclass
class Watcher:
    """Reads what the router heard since it was last asked."""

    router: Router

    def __post_init__(self) -> None:
        self._read_bytes = 0
        self._known: set[tuple[str, Address]] = set()
        self._heard = 0
        self.changes()  # what was heard until now
        self._heard = 0
        self._before = self.router.sessions()

    def changes(self) -> list[Change]:
        """What was heard since the last call."""
        with self.router.trace.open() as trace:
            trace.seek(self._read_bytes)
            text, newline, _unfinished = trace.read().rpartition("\n")
        self._read_bytes += len((text + newline).encode())
        fresh = [self._learn(change) for change in _changes(text)]
        self._heard += len(fresh)
        return fresh

    def _learn(self, change: Change) -> Change:
        route = change.director, change.vip
        if change.kind == WITHDRAWN:
            self._known.discard(route)
        elif change.kind == ANNOUNCED and route in self._known:
            return replace(change, kind=CHANGED)
        else:
            self._known.add(route)
        return change

    def known(self, director: str) -> set[str]:
        """The VIPs that stand at the router from this director, by what was heard."""
        return {str(vip) for name, vip in self._known if name == director}

    def check(self, but: Collection[str] = ()) -> None:
        """Compare what was read with BIRD's own counters; sessions of the directors ``but`` may have been lost.

        Raises:
            AssertionError: BIRD counted other than what was read here, or a session was lost.
        """
        after = self.router.sessions()
        spared = {name for name in after if director_of(name) in but}
        kept = {name: each for name, each in after.items() if name not in spared}
        lost = [name for name, each in kept.items() if each.times_up != self._before[name].times_up]
        assert not lost, f"sessions that were lost: {', '.join(lost)}"
        if not spared:
            counted = sum(_heard(each) - _heard(self._before[name]) for name, each in kept.items())
            assert counted == self._heard, f"BIRD counted {counted} routes in UPDATEs, its log has {self._heard}"


def director_of(session: str) -> str:
    """The director at the other end of a session."""
    return session.removesuffix("_v6")


def whats(directors: Iterable[str], kind: str, vips: Iterable[str]) -> list[tuple[str, str, str]]:
    """Each of these VIPs, from each of these directors, in order."""
    known = list(vips)
    return [(director, kind, str(ip_address(vip))) for director in directors for vip in known]


def _changes(text: str) -> Iterator[Change]:
    for found in _LINE.finditer(text):
        kind = _KINDS.get(found["kind"])
        if kind is not None:
            at_s = datetime.fromisoformat(found["at"]).timestamp()
            vip = ip_network(found["prefix"]).network_address
            yield Change(at_s, director_of(found["session"]), kind, vip)


def _heard(session: Session) -> int:
    return session.updates + session.withdraws
