"""How many addresses a second the allocator decides upon, and what it keeps of them.

Alone: ``python -m tests.bench.allocation``. It needs no lab.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

from appliance.decide.allocate import open_ledger, settle
from appliance.decide.ledger import Ledger
from appliance.model.claim import Claim
from appliance.model.pool import AddressPool, AddressRange
from tests.bench.figures import Report

SERVICES = 5_000
ROUNDS = 5
DECISIONS_WANTED = 1_000
# From a /28 to a /8 the cost of a decision may grow by its noise alone.
GROWTH_WANTED = 3.0
RANGES = {"a /16": "10.0.0.0/16", "a /64": "2001:db8::/64", "a /8": "10.0.0.0/8"}


def measure(report: Report) -> None:
    """5,000 Services at once, the same again from their statuses, and then one at a time in a full cluster."""
    rates = {}
    for name, text in RANGES.items():
        pool = AddressPool("bench", (AddressRange.of(ip_network(text)),))
        claims = services(pool.ranges[0].version)
        seconds = report.add_median(
            f"{SERVICES} Services at once in {name}",
            [timed(lambda pool=pool, claims=claims: open_ledger((pool,), claims)) for _ in range(ROUNDS)],  # type: ignore[misc]
        )
        rates[name] = SERVICES / seconds
        report.add("  decisions a second", rates[name], "/s", least=DECISIONS_WANTED)
        _, grants = open_ledger((pool,), claims)
        held = [replace(claim, held=grants[claim.owner].addresses) for claim in claims]
        report.add_median(
            f"restart with {SERVICES} held in {name}",
            [timed(lambda pool=pool, held=held: open_ledger((pool,), held)) for _ in range(ROUNDS)],  # type: ignore[misc]
        )
        report.add_median(f"delete and create one of {SERVICES} in {name}", churn(pool, held))
    report.add("  a /16 as fast as a /8", rates["a /16"] / rates["a /8"], "x", most=GROWTH_WANTED)
    report.add(f"memory of the ledger with {SERVICES} held", ledger_mb(), "MB")


def services(version: int) -> list[Claim]:
    """Services that want an address each."""
    ports = frozenset({("TCP", 80)})
    return [
        Claim(f"default/web-{number}", age=f"{number:06}", versions=(version,), ports=ports)
        for number in range(SERVICES)
    ]


def churn(pool: AddressPool, held: list[Claim]) -> list[float]:
    """Seconds for one deletion and one creation, many times."""
    ledger, _ = open_ledger((pool,), held)
    samples = []
    for number in range(0, SERVICES, 50):
        fresh = replace(held[number], owner=f"default/new-{number}", held=())
        started_s = time.perf_counter()
        ledger.release(held[number].owner)
        settle(ledger, fresh)
        samples.append(time.perf_counter() - started_s)
    return samples


def timed(work: Callable[[], object]) -> float:
    """Seconds that the work takes once."""
    gc.collect()
    started_s = time.perf_counter()
    kept = work()
    elapsed_s = time.perf_counter() - started_s
    del kept
    return elapsed_s


def ledger_mb() -> float:
    """What a ledger holds beside the claims, in MB of 1,000,000 bytes, by Python's own allocator."""
    pool = AddressPool("bench", (AddressRange.of(ip_network(RANGES["a /16"])),))
    claims = services(4)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        ledger = Ledger((pool,))
        for claim in claims:
            settle(ledger, claim)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / 1e6


if __name__ == "__main__":
    measure(Report())
