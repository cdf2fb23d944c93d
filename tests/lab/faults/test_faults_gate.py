"""Rows 18 to 20: backends go, come and go, or only seem to."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from tests.lab.faults.scenes import OTHER, UDP, VIP4, VIP6, serve_all, three_vips
from tests.lab.faults.trial import Trial
from tests.lab.faults.watcher import ANNOUNCED, WITHDRAWN
from tests.lab.hosts import wait_until
from tests.lab.serving import BOTH, Serving

DAMPED = "damping: {free_flaps: 1, initial_s: 1, max_s: 60}"
INTERVAL_S, TIMEOUT_S = 0.5, 0.4
FLAPS_PER_S = 10
FLAPPING_S = 20.0
# The first return costs no wait; from there on each takes twice as long.
HOLDS_S = (0, 1, 2, 4, 8, 16, 32, 60)


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    checks = f"checks: {{mode: tunnel, interval_s: {INTERVAL_S}, timeout_s: {TIMEOUT_S}, rise: 2, fall: 3}}\n"
    with three_vips(gate=DAMPED, settings=checks) as serving:
        yield serving


def test_fault_20_probes_that_all_fail_at_once_are_not_believed(serving: Serving, trial: Trial) -> None:
    """The router drops what the servers send to the directors' own addresses; the clients' traffic goes on.

    Time runs from when over half of the VIPs fail: a probe is sent within INTERVAL_S of its turn, and given up
    TIMEOUT_S later.
    """
    lab = serving.lab
    director = lab.directors[0]

    def held() -> bool:
        return "checks held" in serving.asked(director)["conditions"]

    lab.router.ip("route add blackhole 0.0.0.0/0 table 100", "route add blackhole ::/0 table 100")
    with trial.steady(VIP4, VIP6, OTHER):
        deafen(serving, "add")
        failing_s = time.monotonic() + INTERVAL_S + TIMEOUT_S
        wait_until(lambda: time.monotonic() >= failing_s or held(), TIMEOUT_S + 2 * INTERVAL_S, "probes to fail")
        with trial.fault():
            pass
        trial.sees(held, "the alarm")
        trial.hears_nothing(passes=12)
        deafen(serving, "del")
        trial.sees(lambda: "checks held" not in serving.asked(director)["conditions"], "the alarm to end", 30)
        trial.hears_nothing()


def test_fault_19_a_vip_without_backends_is_withdrawn_alone(serving: Serving, trial: Trial) -> None:
    with trial.steady(VIP4, VIP6):
        with trial.fault():
            serving.write("other", OTHER, servers=(), ports=(80, UDP))
        trial.hears(withdrawn=[OTHER])
        trial.hears_nothing()
        with trial.cure():
            serve_all(serving)
        trial.hears(announced=[OTHER])


def deafen(serving: Serving, do: str) -> None:
    """No director hears what a server sends to its own address; what servers send to clients does not pass there."""
    lab = serving.lab
    for family in (4, 6):
        rules = [
            f"rule {do} iif {server.name} to {director.address4 if family == 4 else director.address6} lookup 100\n"
            for director in lab.directors
            for server in lab.servers
        ]
        lab.router.run(["ip", f"-{family}", "-batch", "-"], stdin="".join(rules))


@contextlib.contextmanager
def flapping(serving: Serving) -> Iterator[threading.Thread]:
    """The backends of OTHER come and go ten times a second; joined, the thread has done so for FLAPPING_S."""
    over = threading.Event()

    def flap() -> None:
        for number in range(int(FLAPPING_S * FLAPS_PER_S)):
            serving.write("other", OTHER, servers=() if number % 2 == 0 else None, ports=(80, UDP))
            if over.wait(1 / FLAPS_PER_S):
                return

    thread = threading.Thread(target=flap, name="flapping")
    thread.start()
    try:
        yield thread
    finally:
        over.set()
        thread.join()


def test_fault_18_a_vip_that_flaps_is_withdrawn_at_once_and_announced_later_and_later(
    serving: Serving, trial: Trial
) -> None:
    with trial.steady(VIP4, VIP6):
        with trial.fault(), flapping(serving) as flaps:
            flaps.join()
        serve_all(serving)
        wait_until(lambda: serving.lab.router.learned(OTHER) == BOTH, 90, "its return")
        for director in serving.lab.directors:
            serving.await_passes(director, 4)
    heard = trial.heard_only(OTHER)
    for name in BOTH:
        ups_and_downs = [change for change in heard if change.director == name]
        assert [each.kind for each in ups_and_downs] == [WITHDRAWN, ANNOUNCED] * (len(ups_and_downs) // 2)
        waited_s = [up.at_s - down.at_s for down, up in zip(ups_and_downs[::2], ups_and_downs[1::2], strict=True)]
        # A gate that opens is told to BIRD a moment later, and so is one that closes.
        assert all(waited > must - 0.5 for waited, must in zip(waited_s, HOLDS_S, strict=False)), waited_s
