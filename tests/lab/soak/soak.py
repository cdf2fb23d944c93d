"""A soak: two directors under random faults, changes and traffic, judged from outside all the while."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.lab.hosts import wait_until
from tests.lab.soak.acts import KINDS, Act, Moment, Undo
from tests.lab.soak.node import FOREIGN_ADDRESS, FOREIGN_NETWORK, Node
from tests.lab.soak.oracle import FOREIGN, Look, Oracle
from tests.lab.soak.traffic import Probes, Tap, lead
from tests.lab.soak.wanted import Wanted
from tests.lab.topology import Lab, build_lab
from tests.lab.witness import Table, addresses_of, has_route, learned, local, table_of

# What is broken is found within half a second and mended or withdrawn within another, on a machine that is not as busy
# as the lab kernel: one processor for everything.
BOUND_S = 6.0
STRIDE_S = 1.0
CONVERGED_WITHIN_S = 120.0
PACE_S = 0.1


@dataclass
class Soak:
    """The two nodes, what is wanted of them, and the judge. ``journal`` is what was done, when."""

    lab: Lab
    wanted: Wanted
    nodes: tuple[Node, Node]
    probes: Probes
    taps: tuple[Tap, ...]
    oracle: Oracle = field(default_factory=lambda: Oracle(BOUND_S))
    journal: list[str] = field(default_factory=list)
    looks: int = 0
    _judged_s: float = 0.0
    _looked_s: float = field(default_factory=time.monotonic)
    _began_s: float = field(default_factory=time.monotonic)
    _undos: list[tuple[float, str, Undo]] = field(default_factory=list)

    @property
    def now_s(self) -> float:
        return time.monotonic() - self._began_s

    def run(self, acts: Sequence[Act], length_s: float) -> None:
        """Do all that, for so long; then undo what lasts, and see everything converge.

        Raises:
            Broken: an invariant did not hold.
        """
        self._began_s = time.monotonic()
        coming = list(acts)
        while self.now_s < length_s:
            self._undo(self.now_s)
            while coming and coming[0].at_s <= self.now_s:
                self._do(coming.pop(0))
            self.look()
        self.end()

    def end(self) -> None:
        """Undo what lasts, and wait until everything stands as it should.

        Raises:
            Broken: an invariant did not hold meanwhile.
            AssertionError: it does not converge.
        """
        wait_until(self._undo_all, CONVERGED_WITHIN_S, "the last fault to be undone")
        self._note("the last fault is over")

        def converged() -> bool:
            self.look()
            return not self.differences()

        try:
            wait_until(converged, CONVERGED_WITHIN_S, "everything to stand as it should")
        except AssertionError as error:
            error.add_note("\n".join(self.differences()))
            raise
        self._note("everything stands as it should")

    def look(self) -> None:
        """Look at everything once.

        Raises:
            Broken: an invariant does not hold.
        """
        self.looks += 1
        before = learned(self.lab.router)
        read = [(table_of(node.director), local(node.director, before.keys())) for node in self.nodes]
        after = learned(self.lab.router)
        self.probes.collect(0.0)
        self._advance()
        for node, (table, own) in zip(self.nodes, read, strict=True):
            name = node.director.name
            announced = frozenset(vip for vip in before.keys() & after.keys() if name in before[vip] & after[vip])
            node.look_after()
            if node.can_act:
                look = Look(announced, table, own, self.probes.silent(node.director))
                self.oracle.judge(name, look, self.wanted, self._judged_s)
                self.probes.ask(node.director, sorted(announced & self.wanted.answering))
            else:
                self.oracle.excuse(name)
                self.probes.ask(node.director, ())
        self.probes.collect(PACE_S)
        for tap in self.taps:
            tap.check()

    def _advance(self) -> None:
        """Let the judge's clock go on: no further than STRIDE_S, for a machine that was busy kept the directors too."""
        now_s = time.monotonic()
        self._judged_s += min(now_s - self._looked_s, STRIDE_S)
        self._looked_s = now_s

    def differences(self) -> list[str]:
        """What is not as it should be in the end, in words."""
        told = learned(self.lab.router)
        everybody = frozenset(node.director.name for node in self.nodes)
        found = [] if told == dict.fromkeys(self.wanted.served, everybody) else [f"the router knows {told}"]
        used = {vip: self.lab.router.routes_to(vip) for vip in told}
        found += [f"the router uses {hops} for {vip}" for vip, hops in used.items() if hops != everybody]
        wanted = _unordered(self.wanted.table() | FOREIGN)
        for node in self.nodes:
            table, addresses = _unordered(table_of(node.director)), addresses_of(node.director)
            if table != wanted:
                found.append(f"{node.director.name} has the table {table}\n  instead of {wanted}")
            if addresses != self.wanted.vips | {FOREIGN_ADDRESS}:
                found.append(f"{node.director.name} has the addresses {addresses}")
            if not has_route(node.director, FOREIGN_NETWORK):
                found.append(f"{node.director.name} has lost the foreign BIRD protocol")
        return found

    def story(self) -> str:
        """What was done, and what the directors said to that."""
        return "\n".join([*self.journal, *(f"--- {node.director.name}\n{node.log()}" for node in self.nodes)])

    def _do(self, act: Act) -> None:
        node = self.nodes[act.where]
        done = KINDS[act.kind][1](Moment(act, node, self.wanted))
        if done is None:
            return
        self._note(f"{node.director.name}: {done.what}")
        if done.undo is not None:
            self._undos.append((self.now_s + act.lasts_s, f"{node.director.name}: {done.what}", done.undo))

    def _undo(self, until_s: float) -> None:
        for entry in sorted((each for each in self._undos if each[0] <= until_s), key=lambda each: each[0]):
            if entry[2]() is not False:
                self._undos.remove(entry)
                self._note(f"{entry[1]}: over")

    def _undo_all(self) -> bool:
        self._undo(float("inf"))
        self.look()
        return not self._undos

    def _note(self, what: str) -> None:
        self.journal.append(f"{self.now_s:7.2f} s ({self._judged_s:.0f})  {what}")


@contextlib.contextmanager
def soaking() -> Iterator[Soak]:
    """Two directors that serve what is usual, with packets on their way."""
    with build_lab() as lab, contextlib.ExitStack() as stack:
        wanted = Wanted(lab.client.folder / "services")
        lab.serve(*wanted.vips)
        lead(lab)
        nodes = Node(lab.directors[0], wanted.folder), Node(lab.directors[1], wanted.folder)
        for one, other in itertools.permutations(nodes):
            one.others = [other]
            stack.callback(one.kill_daemon)
        backends = wanted.backends_ever()
        taps = tuple(Tap(director, backends) for director in lab.directors)
        for tap in taps:
            stack.enter_context(tap.listening())
        soak = Soak(lab, wanted, nodes, Probes(lab, backends), taps)
        stack.callback(soak.probes.close)
        for node in nodes:
            node.set_up()
        soak.end()
        yield soak


def _unordered(table: Table) -> dict[str, tuple[str, frozenset[tuple[str, int]]]]:
    return {name: (each.scheduling, frozenset(each.destinations)) for name, each in table.items()}
