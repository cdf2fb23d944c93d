"""The judge of a soak: pure rules over what was seen from outside, and clocks for how long something may be amiss."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.lab.soak.wanted import Wanted
from tests.lab.witness import Standing, Table

FOREIGN = {"-t 192.0.2.9:80": Standing("-s wlc", (("192.0.2.10:80", 1),))}


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True, slots=True)
class Look:
    """One director at one moment, read from outside.

    ``announced`` are the VIPs that the router had from it before and after all else was read. ``local`` are addresses
    that its kernel takes packets for. ``silent`` are VIPs whose packets by way of it are not answered.
    """

    announced: frozenset[str]
    table: Table
    local: frozenset[str]
    silent: frozenset[str] = frozenset()


def amiss(vip: str, look: Look, wanted: Wanted) -> list[str]:
    """Why this director should not announce ``vip`` now, in words."""
    services = {name: each for name, each in wanted.table().items() if name.rpartition(":")[0][3:].strip("[]") == vip}
    if not services:
        return ["nobody wants it"]
    found = [] if vip in look.local else ["its address is gone"]
    found += ["nobody answers"] if vip in look.silent else []
    for name, want in services.items():
        have = look.table.get(name)
        if have is None:
            found.append(f"{name} is gone")
        elif have.scheduling != want.scheduling:
            found.append(f"{name} has {have.scheduling}")
        else:
            found += _weights(name, dict(have.destinations), dict(want.destinations))
    taking = [
        weight for name in services if name in look.table for _, weight in look.table[name].destinations if weight
    ]
    return found if taking else [*found, "no backend takes traffic"]


def _weights(name: str, have: Mapping[str, int], want: Mapping[str, int]) -> list[str]:
    """Destinations that are not as they should be; one that nobody wants may stand at weight 0, to drain."""
    servers = sorted(have.keys() | want.keys())
    return [
        f"{name} gives {server} weight {have.get(server)} instead of {want.get(server)}"
        for server in servers
        if have.get(server, 0) != want.get(server, 0)
    ]


@dataclass
class Oracle:
    """Remembers since when what is announced is amiss, and complains when that lasts longer than ``bound_s``.

    ``worst_s`` is the longest time that anything was amiss and mended or withdrawn in the end.
    """

    bound_s: float
    worst_s: float = 0.0
    worst: str = "nothing"
    _since: dict[tuple[str, str], float] = field(default_factory=dict)

    def judge(self, director: str, look: Look, wanted: Wanted, now_s: float) -> None:
        """Take a look at a director that is free to act.

        Raises:
            Broken: it announces what it does not serve, or somebody else's things are not as they were.
        """
        for name, standing in FOREIGN.items():
            if look.table.get(name) != standing:
                raise Broken(f"I5: {director}: the foreign service {name} is {look.table.get(name)}")
        for vip in look.announced:
            reasons = amiss(vip, look, wanted)
            if not reasons:
                self._since.pop((director, vip), None)
                continue
            for_s = now_s - self._since.setdefault((director, vip), now_s)
            if for_s > self.worst_s:
                self.worst_s, self.worst = for_s, f"until {now_s:.0f} s, {director} {vip}: {'; '.join(reasons)}"
            if for_s > self.bound_s:
                raise Broken(f"{director} has announced {vip} for {for_s:.1f} s although: {'; '.join(reasons)}")
        for key in [key for key in self._since if key[0] == director and key[1] not in look.announced]:
            del self._since[key]

    def excuse(self, director: str) -> None:
        """The director cannot act now: its clocks start when it can again."""
        self._since = {key: since_s for key, since_s in self._since.items() if key[0] != director}
