"""What is done to directors and sources in a soak: a plan made from a seed, and how each act is carried out."""

import random
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.lab.soak.node import Node
from tests.lab.soak.oracle import FOREIGN
from tests.lab.soak.wanted import Wanted
from tests.lab.witness import LINK, table_of

Undo = Callable[[], object]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to do, ``at_s`` into the soak; what lasts is undone ``lasts_s`` later.

    ``pick`` (0 to 1) is which of the things there are then; ``where`` is the director's place, 0 or 1.
    """

    at_s: float
    kind: str
    where: int
    pick: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, in words, and how to undo it (None: it needs no undoing).

    An undo that returns False was in vain, and is to be tried again.
    """

    what: str
    undo: Undo | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """An act when its time has come: at this node, with this wanted."""

    act: Act
    node: Node
    wanted: Wanted

    def one_of(self, things: Sequence[_T]) -> _T:
        """The one of these things that the act picks."""
        return things[int(self.act.pick * len(things))]


def flush(now: Moment) -> Done | None:
    """All services; what is foreign is back before anybody looks."""
    foreign = [f"ipvsadm -A {name} {each.scheduling}" for name, each in FOREIGN.items()]
    foreign += [
        f"ipvsadm -a {name} -r {server} -m -w {weight}"
        for name, each in FOREIGN.items()
        for server, weight in each.destinations
    ]
    now.node.director.run(["sh", "-ec", "; ".join(["ipvsadm -C", *foreign])])
    return Done("ipvsadm -C")


def delete_service(now: Moment) -> Done | None:
    ours = sorted(table_of(now.node.director).keys() - FOREIGN.keys())
    return _ipvsadm(now.node, "-D", now.one_of(ours)) if ours else None


def change_scheduler(now: Moment) -> Done | None:
    ours = sorted(table_of(now.node.director).keys() - FOREIGN.keys())
    return _ipvsadm(now.node, "-E", now.one_of(ours), "-s", "rr") if ours else None


def delete_destination(now: Moment) -> Done | None:
    ours = _destinations(now.node)
    if not ours:
        return None
    name, server = now.one_of(ours)
    return _ipvsadm(now.node, "-d", name, "-r", server)


def change_weight(now: Moment) -> Done | None:
    ours = _destinations(now.node)
    if not ours:
        return None
    name, server = now.one_of(ours)
    return _ipvsadm(now.node, "-e", name, "-r", server, "-i", "-w", "7")


def delete_address(now: Moment) -> Done | None:
    vip = now.one_of(sorted(now.wanted.vips))
    now.node.director.run(["ip", "address", "del", f"{vip}/{128 if ':' in vip else 32}", "dev", LINK], check=False)
    return Done(f"address {vip} deleted")


def link_down(now: Moment) -> Done | None:
    now.node.director.run(["ip", "link", "set", LINK, "down"], check=False)
    return Done(f"{LINK} set down")


def kill_director(now: Moment) -> Done | None:
    if not now.node.free or now.wanted.broken:
        return None
    now.node.kill_daemon()
    return Done("director killed", now.node.start_daemon)


def stop_director(now: Moment) -> Done | None:
    if not now.node.free:
        return None
    now.node.signal_daemon(signal.SIGSTOP)
    return Done("director stopped for a while", lambda: now.node.signal_daemon(signal.SIGCONT))


def kill_bird(now: Moment) -> Done | None:
    if not now.node.bird_answers:
        return None
    now.node.kill_bird()
    return Done("BIRD killed", now.node.start_bird)


def stop_bird(now: Moment) -> Done | None:
    if not now.node.bird_answers:
        return None
    now.node.signal_bird(signal.SIGSTOP)
    return Done("BIRD stopped for a while", lambda: now.node.signal_bird(signal.SIGCONT))


def lose_routes(now: Moment) -> Done | None:
    if now.node.routes_lost:
        return None
    now.node.lose_routes()
    return Done("routes to the servers lost", now.node.restore_routes)


def drain(now: Moment) -> Done | None:
    if not now.node.free:
        return None
    vip = now.one_of(["", "", *sorted(now.wanted.vips)])
    order = {"vip": vip, "reason": "soak", "now": bool(int(now.act.pick * 100) % 2)}
    if now.node.ask("drain", order) is None:
        return None
    return Done(f"drain {order}", lambda: now.node.ask("undrain", {"vip": vip}) is not None)


def break_source(now: Moment) -> Done | None:
    if now.wanted.broken or not now.node.others_free:
        return None
    now.wanted.spoil()
    return Done("source broken", now.wanted.mend)


def turn_backend(now: Moment) -> Done | None:
    if now.wanted.broken:
        return None
    service, server = now.one_of([(each, server) for each in now.wanted.present for server in each.backends])
    service.backends[server] = not service.backends[server]
    now.wanted.write(service.name)
    return Done(f"{server} of {service.name} is {'ready' if service.backends[server] else 'not ready'}")


def turn_service(now: Moment) -> Done | None:
    service = now.one_of(list(now.wanted.services.values()))
    if now.wanted.broken or now.wanted.present == [service]:
        return None
    service.present = not service.present
    now.wanted.write(service.name)
    return Done(f"service {service.name} is {'there' if service.present else 'gone'}")


KINDS: Mapping[str, tuple[int, Callable[[Moment], Done | None]]] = {
    each.__name__: (weight, each)
    for weight, each in (
        (3, flush),
        (3, delete_service),
        (2, delete_destination),
        (2, change_weight),
        (1, change_scheduler),
        (2, delete_address),
        (2, link_down),
        (3, kill_director),
        (3, stop_director),
        (2, kill_bird),
        (2, stop_bird),
        (2, lose_routes),
        (3, drain),
        (2, break_source),
        (6, turn_backend),
        (4, turn_service),
    )
}


def plan(seed: int, length_s: float, every_s: float) -> list[Act]:
    """The acts of a soak: the same for the same seed, whatever comes of them."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    names, weights = list(KINDS), [weight for weight, _ in KINDS.values()]
    acts = []
    at_s = 0.0
    while (at_s := at_s + chance.expovariate(1 / every_s)) < length_s:
        (kind,) = chance.choices(names, weights)
        acts.append(Act(at_s, kind, chance.randrange(2), chance.random(), chance.uniform(0.3, 4.0)))
    return acts


def _destinations(node: Node) -> list[tuple[str, str]]:
    table = table_of(node.director)
    return [(name, server) for name in sorted(table.keys() - FOREIGN.keys()) for server, _ in table[name].destinations]


def _ipvsadm(node: Node, verb: str, name: str, *arguments: str) -> Done:
    """What the director has removed in this moment is no error."""
    node.director.run(["ipvsadm", verb, *name.split(), *arguments], check=False)
    return Done(" ".join(["ipvsadm", verb, name, *arguments]))
