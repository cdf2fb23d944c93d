"""What a director is to do while it is killed: from one set of services to another."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypedDict

from tests.lab.plan import LINKS
from tests.lab.witness import Standing, Table, named

VIP, OTHER = "10.50.0.1", "10.50.0.2"
ONE, TWO, THREE = (LINKS[name].host4 for name in ("server1", "server2", "server3"))
_SCHEDULING = {"mh": "-s mh -b mh-fallback,mh-port", "rr": "-s rr"}


class Document(TypedDict):
    """A service as its file says it."""

    name: str
    vip: str
    ports: list[object]
    scheduler: str
    backends: list[dict[str, object]]


def service(name: str, vip: str, port: object, *servers: str, scheduler: str = "mh", weight: int = 1) -> Document:
    """A service on one port; the last of its backends has ``weight``."""
    weights = [*[1] * (len(servers) - 1), weight]
    backends: list[dict[str, object]] = [
        {"address": server, "weight": each} for server, each in zip(servers, weights, strict=True)
    ]
    return {"name": name, "vip": vip, "ports": [port], "scheduler": scheduler, "backends": backends}


@dataclass(frozen=True)
class Plan:
    """The services before and after."""

    before: tuple[Document, ...]
    after: tuple[Document, ...]


WEB, TLS = service("web", VIP, 80, ONE, TWO), service("tls", VIP, 443, ONE, scheduler="rr")
NEXT = service("next", OTHER, 80, THREE)
PLANS: Mapping[str, Plan] = {
    "first_programming": Plan((), (WEB, TLS)),
    "change": Plan(
        (WEB, TLS),
        (service("web", VIP, 80, TWO, THREE, weight=5), TLS, service("dns", VIP, "53/udp", ONE)),
    ),
    "teardown_of_one_of_two": Plan((WEB, TLS, NEXT), (NEXT,)),
}


def vips_of(documents: Collection[Document]) -> frozenset[str]:
    """The VIPs of these services."""
    return frozenset(each["vip"] for each in documents)


def table_for(documents: Collection[Document]) -> dict[str, Standing]:
    """What should stand for these services, destinations in canonical order."""
    return {
        named(each["vip"], port): Standing(
            _SCHEDULING[each["scheduler"]],
            tuple(
                (f"{backend['address']}:{str(port).partition('/')[0]}", _weight(backend))
                for backend in each["backends"]
            ),
        )
        for each in documents
        for port in each["ports"]
    }


def amiss(vip: str, plan: Plan, table: Table, local: Collection[str]) -> list[str]:
    """Why ``vip`` must not be announced while this stands, somewhere between ``before`` and ``after``.

    What is new must be whole, what goes must still be whole. What changes may be in between, but not without any
    backend, and never with somebody else's.
    """
    before, after = (_on(vip, table_for(documents)) for documents in (plan.before, plan.after))
    found = [] if vip in local else [f"{vip} is not an address here"]
    if before and after:
        for name in before.keys() & after.keys():
            allowed = {server for server, _ in (*before[name].destinations, *after[name].destinations)}
            stands = table.get(name, Standing(""))
            taking = {server for server, weight in stands.destinations if weight}
            if stands.scheduling not in (before[name].scheduling, after[name].scheduling) or not taking:
                found.append(f"{name} does not serve: {stands}")
            found += [f"{name} sends to {server}" for server in taking - allowed]
        return found
    wanted = before or after
    found += [f"{name} is {table.get(name)} and not {want}" for name, want in wanted.items() if table.get(name) != want]
    return found if wanted else [*found, "nobody wants it"]


def _on(vip: str, table: Table) -> dict[str, Standing]:
    return {name: each for name, each in table.items() if f" {vip}:" in name}


def _weight(backend: Mapping[str, object]) -> int:
    weight = backend["weight"]
    assert isinstance(weight, int)
    return weight
