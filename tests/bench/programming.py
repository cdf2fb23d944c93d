"""How fast a table is programmed: by us, by ipvsadm, and by our bytes without us."""

import math
import subprocess
import time
from collections.abc import Callable

from appliance.decide.diff import DrainPolicy, diff_services
from appliance.decide.expect import expect_service
from appliance.director.build import build
from appliance.ipvs.codec import encode_steps
from appliance.ipvs.kernel import IpvsKernel
from appliance.model.observed import ObservedService
from appliance.model.plan import ServiceStep
from appliance.model.service import ServiceKey
from appliance.netlink.message import NLM_F_ACK, NLM_F_REQUEST, Request, message
from appliance.netlink.transport import NETLINK_GENERIC, NetlinkSocket, open_socket
from tests.bench.figures import Report, say
from tests.bench.workload import bare_host, ipvsadm_rules, services

SERVICES = 1000
ROUNDS = 9
Table = dict[ServiceKey, ObservedService]


def measure(report: Report) -> None:
    """Program the table in turns, from empty, and check each time that it stands."""
    table = {each.key: expect_service(each) for each in services(SERVICES)}
    rules = ipvsadm_rules(table)
    with bare_host(), IpvsKernel() as ipvs:
        datagrams = encoded(ipvs, plan(table))
        ways: dict[str, Callable[[], object]] = {
            "appliance": lambda: build(ipvs, plan(table), time.monotonic, math.inf),
            "replayed bytes": lambda: replay(datagrams),
            "ipvsadm -R": lambda: subprocess.run(["ipvsadm", "-R"], input=rules, text=True, check=True),
        }
        took_s: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(ROUNDS):
            for way in turned(list(ways), number):  # whoever comes first finds the kernel in another state
                took_s[way].append(timed(ways[way]))
                assert ipvs.dump() == table, f"the table programmed by {way} is not the one that was asked for"
                subprocess.run(["ipvsadm", "-C"], check=True)
            say(f"round {number + 1}: " + ", ".join(f"{way} {took_s[way][-1]:.2f} s" for way in ways))
    ours, floor, peer = (report.add_median(f"{SERVICES} x 10 programmed by {way}", took_s[way]) for way in ways)
    report.add("  how many times as fast as ipvsadm -R", peer / ours, "x", least=1.4)
    report.add("  how many times the floor", ours / floor, "x", most=1.25)


def turned(ways: list[str], number: int) -> list[str]:
    """The same list, begun at another place each time."""
    place = number % len(ways)
    return ways[place:] + ways[:place]


def plan(table: Table) -> tuple[ServiceStep, ...]:
    """What the director would do for services that are not announced: load under rr, switch once."""
    vips = frozenset(key.vip for key in table)
    return diff_services(table, {}, wanted_vips=vips, live_vips=frozenset(), drain=DrainPolicy()).build


def encoded(ipvs: IpvsKernel, steps: tuple[ServiceStep, ...]) -> list[tuple[bytes, int]]:
    """The datagrams that we send for these steps, with the number of answers each brings."""
    requests = [Request(ipvs._family, body) for body in encode_steps(steps)]
    with NetlinkSocket(NETLINK_GENERIC) as netlink:
        batches = list(netlink._batches(requests))
    flags = NLM_F_REQUEST | NLM_F_ACK
    return [(b"".join(message(each, 1, flags) for each in batch), len(batch)) for batch in batches]


def replay(datagrams: list[tuple[bytes, int]]) -> None:
    """Send the datagrams and take every answer off the socket, without a look at it."""
    with open_socket(NETLINK_GENERIC) as netlink:
        for datagram, answers in datagrams:
            netlink.send(datagram)
            for _ in range(answers):
                netlink.recv(1 << 15)


def timed(work: Callable[[], object]) -> float:
    """The seconds that ``work`` takes."""
    started_s = time.monotonic()
    work()
    return time.monotonic() - started_s
