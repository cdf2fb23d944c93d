"""From broken IPVS to the route gone at the router, with real directors and real BGP."""

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.bench import cluster
from tests.bench.cluster import Node
from tests.bench.figures import Report, say
from tests.lab.hosts import Process, wait_until
from tests.lab.topology import Lab, Router, build_lab

VIP = "10.50.0.1"
ROUNDS = 20
WITHIN_S = 40.0
POLL_S = 0.004
WITHDRAWAL_WANTED_S = 1.5
# linux/rtnetlink.h: the group that is told of IPv4 routes.
_RTMGRP_IPV4_ROUTE = 0x40
STAGES = ("broken -> first repair", "first repair -> verdict", "verdict -> BIRD has it, router's kernel too")


@dataclass
class Log:
    """A growing log, each line with the time at which it was seen first."""

    process: Process
    position: int = 0
    lines: list[tuple[float, str]] = field(default_factory=list)

    def follow(self) -> None:
        """Take in what is new."""
        with self.process.log.open("rb") as log:
            log.seek(self.position)
            text = log.read()
        complete = text[: text.rfind(b"\n") + 1]
        self.position += len(complete)
        now_s = time.monotonic()
        self.lines += [(now_s, line) for line in complete.decode().splitlines()]

    def first(self, pattern: str, since_s: float) -> float:
        """When a line that matches ``pattern`` came first after ``since_s``; ``since_s`` where none did."""
        return next((at for at, line in self.lines if at >= since_s and re.search(pattern, line)), since_s)


def measure(report: Report) -> None:
    """Break one director again and again; wait each time until it is well and announced again."""
    took_s: list[float] = []
    stages_s: list[tuple[float, ...]] = []
    back_s: list[float] = []
    with build_lab() as lab:
        cluster.serving(lab).write("web", VIP)
        nodes = [cluster.start(lab, director) for director in lab.directors]
        cluster.wait(nodes, lambda: len(lab.router.routes_to(VIP)) == len(nodes), WITHIN_S, "two next hops")
        log = Log(nodes[0].daemon)
        with route_changes(lab.router) as changes:
            for number in range(ROUNDS):
                settle(number)
                gone_s, stages, returned_s = one_round(lab, nodes[0], log, changes)
                took_s.append(gone_s)
                stages_s.append(stages)
                back_s.append(returned_s)
                parts = ", ".join(f"{each:.2f}" for each in stages)
                say(f"round {number + 1}: gone after {gone_s:.2f} s ({parts}), back {returned_s:.2f} s after the end")
    report.add_median("IPVS broken -> route gone at the router", took_s)
    report.add(f"  p99 (the slowest of {ROUNDS})", max(took_s), "s", most=WITHDRAWAL_WANTED_S)
    for stage, samples in zip(STAGES, zip(*stages_s, strict=True), strict=True):
        report.add_median(f"  of it {stage}", samples)
    report.add_median("IPVS left alone -> route back at the router", back_s)


def settle(number: int) -> None:
    """Let the gate forget the repairs of the last round, and meet the director's timers at another moment each time."""
    time.sleep(3.0 + number * 0.37 % 1.0)


def one_round(lab: Lab, node: Node, log: Log, changes: socket.socket) -> tuple[float, tuple[float, ...], float]:
    """Seconds until the route was gone, the stages they are made of, and seconds until it was back."""
    flusher = waiting_flusher(node)
    log.follow()
    drain(changes)
    flusher.stdin.write(b"go\n")  # type: ignore[union-attr]  # it was made with a pipe
    flusher.stdin.close()  # type: ignore[union-attr]  # as above
    broken_s = time.monotonic()
    gone_s = next_change(changes, log)
    flusher.kill()
    flusher.wait()
    ended_s = time.monotonic()
    assert lab.router.routes_to(VIP) == {"director2"}, f"the router has routes to {lab.router.routes_to(VIP)}"
    back_s = next_change(changes, log)
    wait_until(lambda: len(lab.router.routes_to(VIP)) == len(lab.directors), WITHIN_S, "the route to come back")
    repaired_s = log.first("repairing", broken_s)
    verdict_s = log.first("withdrawing", broken_s)
    stages = (repaired_s - broken_s, verdict_s - repaired_s, gone_s - verdict_s)
    return gone_s - broken_s, stages, back_s - ended_s


def waiting_flusher(node: Node) -> subprocess.Popen[bytes]:
    """Something that flushes the table again and again, from the moment it is written to."""
    with node.director.network():
        return subprocess.Popen(["sh", "-c", "read go; while ipvsadm -C; do :; done"], stdin=subprocess.PIPE)


@contextlib.contextmanager
def route_changes(router: Router) -> Iterator[socket.socket]:
    """A socket on which the router's kernel tells of every change of an IPv4 route: no polling of its table."""
    with router.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as changes:
        changes.setblocking(False)
        changes.bind((0, _RTMGRP_IPV4_ROUTE))
        yield changes


def drain(changes: socket.socket) -> None:
    """Forget the changes so far."""
    with contextlib.suppress(BlockingIOError):
        while True:
            changes.recv(1 << 15)


def next_change(changes: socket.socket, log: Log) -> float:
    """When the router's kernel tells of the next change; meanwhile the log is followed."""
    told_s: list[float] = []

    def told() -> bool:
        log.follow()
        with contextlib.suppress(BlockingIOError):
            changes.recv(1 << 15)
            told_s.append(time.monotonic())
        return bool(told_s)

    deadline_s = time.monotonic() + WITHIN_S
    while not told():
        assert time.monotonic() < deadline_s, "no route changed at the router"
        time.sleep(POLL_S)
    drain(changes)
    return told_s[0]
