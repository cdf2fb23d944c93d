"""Active checks with real packets: what a probe through the tunnel sees, what it costs, and what it must not move."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from tests.lab.capture import capture
from tests.lab.hosts import wait_until
from tests.lab.serving import BOTH, Serving
from tests.lab.topology import TREE, Director, Server, build_lab

VIP4, VIP6 = "10.50.0.1", "2001:db8:50::1"
VIPS = (VIP4, VIP6, "10.50.0.2", "10.50.0.3")
INTERVAL_S, TIMEOUT_S, FALL = 0.5, 0.4, 3
CHECKS = f"checks: {{mode: tunnel, interval_s: {INTERVAL_S}, timeout_s: {TIMEOUT_S}, rise: 2, fall: {FALL}}}\n"
# What the daemon needs beyond its probes on one slow processor that everything in the lab shares.
SEEN_WITHIN_S = (FALL + 1) * INTERVAL_S + TIMEOUT_S + 8.0


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """Two directors that probe the servers of four VIPs."""
    with build_lab() as lab:
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services, settings=CHECKS)
        lab.serve(*VIPS)
        for number, vip in enumerate(VIPS):
            serving.write(f"web{number}", vip)
        for director in lab.directors:
            serving.start(director)
        for vip in VIPS:
            serving.wait_for(vip, BOTH)
        yield serving


@pytest.fixture(autouse=True)
def calm(serving: Serving) -> Iterator[None]:
    """Every test begins and ends with all servers in, on both directors."""
    yield
    wait_until(lambda: all(map(all_in, serving.lab.directors)), 20, "all servers to be in")
    for vip in VIPS:
        serving.wait_for(vip, BOTH, within_s=15)


def weights(director: Director, vip: str) -> dict[str, int]:
    """The weight of each backend of ``vip`` in the kernel."""
    shown = f"[{vip}]:80" if ":" in vip else f"{vip}:80"
    rows = [line.split() for line in director.run(["ipvsadm", "-Sn"]).splitlines()]
    return {row[4].rpartition(":")[0].strip("[]"): int(row[7]) for row in rows if row[:3] == ["-a", "-t", shown]}


def all_in(director: Director) -> bool:
    return all(set(weights(director, vip).values()) == {1} for vip in VIPS)


def wait_for_weight(serving: Serving, server: Server, vip: str, weight: int) -> float:
    """Wait until both directors give the server that weight; returns how many seconds that took."""
    started_s = time.monotonic()
    address = str(server.address4 if ":" not in vip else server.address6)
    wait_until(
        lambda: {weights(director, vip)[address] for director in serving.lab.directors} == {weight},
        SEEN_WITHIN_S,
        f"{address} to have weight {weight}",
    )
    return time.monotonic() - started_s


def connects_directly(serving: Serving, server: Server) -> bool:
    """What a check without a tunnel would see."""
    with serving.lab.directors[0].socket(socket.AF_INET, socket.SOCK_STREAM) as direct:
        direct.settimeout(2)
        return direct.connect_ex((str(server.address4), 80)) == 0


@contextmanager
def answers_lost(serving: Serving, director: Director) -> Iterator[None]:
    """The router drops what the servers send to the director's own address: its traffic for clients goes on.

    All of it from one moment on: what falls silent server by server is no dead prober.
    """
    router = serving.lab.router
    rules = [
        [family, "iif", server.name, "to", str(address), "lookup", "100"]
        for family, address in (("-4", director.address4), ("-6", director.address6))
        for server in serving.lab.servers
    ]
    for family, *rule in rules:
        router.run(["ip", family, "rule", "add", *rule])
    router.ip("route add blackhole 0.0.0.0/0 table 100", "route add blackhole ::/0 table 100")
    try:
        yield
    finally:
        router.ip("route del blackhole 0.0.0.0/0 table 100", "route del blackhole ::/0 table 100")
        for family, *rule in rules:
            router.run(["ip", family, "rule", "del", *rule])


def test_a_server_whose_program_ends_is_left_out_and_taken_back(serving: Serving) -> None:
    lab = serving.lab
    server = lab.servers[0]
    [program] = [each for each in server.processes if each.name.endswith("/realserver") and each.running]
    with serving.no_route_change():
        program.kill()
        detected_s = wait_for_weight(serving, server, VIP4, 0)
        print(f"detected after {detected_s:.2f} s")
        assert detected_s > (FALL - 1) * INTERVAL_S / 2
        for vip in VIPS:
            wait_for_weight(serving, server, vip, 0)
        for vip in (VIP4, VIP6):
            seen = lab.client.spread(vip, 30)
            assert seen.total() == 30
            assert server.name not in seen
        [shown] = [each for each in serving.status(lab.directors[0])["checks"]["first_failing"] if VIP6 in each]
        assert shown == f"tcp/[{VIP6}]:80 at {server.address6}: the server refuses connections to the port"
        server.start_service()
        for vip in VIPS:
            wait_for_weight(serving, server, vip, 1)
    wait_until(lambda: server.name in lab.client.spread(VIP4, 20), 10, f"{server.name} to answer again")


@pytest.mark.parametrize(("vip", "device"), [(VIP4, "tunl0"), (VIP6, "ip6tnl0")])
def test_a_vip_missing_on_a_server_is_found_though_the_server_answers_and_forwards(
    serving: Serving, vip: str, device: str
) -> None:
    """A server that forwards what is not its own would hand the probe to a director, and that to a well server."""
    server = serving.lab.servers[1]
    server.sysctl("net.ipv4.ip_forward", 1)
    server.sysctl("net.ipv6.conf.all.forwarding", 1)
    with serving.no_route_change():
        server.ip(f"addr del {vip} dev {device}")
        wait_for_weight(serving, server, vip, 0)
        assert connects_directly(serving, server)
        assert set(weights(serving.lab.directors[0], VIPS[2]).values()) == {1}
        assert server.name not in serving.lab.client.spread(vip, 20)
        server.serve(vip)
        wait_for_weight(serving, server, vip, 1)
    server.sysctl("net.ipv4.ip_forward", 0)
    server.sysctl("net.ipv6.conf.all.forwarding", 0)


def test_a_tunnel_that_is_down_on_a_server_is_found(serving: Serving) -> None:
    server = serving.lab.servers[2]
    server.ip("link set tunl0 down")
    wait_for_weight(serving, server, VIP4, 0)
    assert set(weights(serving.lab.directors[0], VIP6).values()) == {1}
    server.ip("link set tunl0 up")
    wait_for_weight(serving, server, VIP4, 1)


def test_a_vip_without_a_server_is_withdrawn(serving: Serving) -> None:
    lab = serving.lab
    for server in lab.servers:
        server.ip("addr del 10.50.0.3 dev tunl0")
    serving.wait_for("10.50.0.3", set(), within_s=SEEN_WITHIN_S)
    assert lab.router.routes_to(VIP4) == BOTH
    lab.serve("10.50.0.3")
    serving.wait_for("10.50.0.3", BOTH, within_s=20)


def test_fault_20_a_prober_that_hears_nothing_moves_nothing_and_raises_an_alarm(serving: Serving) -> None:
    director = serving.lab.directors[0]
    before = [weights(director, vip) for vip in VIPS]
    with serving.no_route_change():
        with answers_lost(serving, director):
            wait_until(lambda: "checks held" in serving.status(director)["conditions"], SEEN_WITHIN_S, "the alarm")
            assert serving.lab.client.spread(VIP4, 30).total() == 30
            assert [weights(director, vip) for vip in VIPS] == before
        wait_until(lambda: not serving.status(director)["degraded"], SEEN_WITHIN_S, "the alarm to end")
        assert [weights(director, vip) for vip in VIPS] == before


def test_probes_leave_nothing_half_open_and_nothing_of_them_reaches_a_client(serving: Serving) -> None:
    lab = serving.lab
    server, director = lab.servers[0], lab.directors[0]
    with capture(server) as seen, capture(lab.client) as at_client:
        passes = serving.status(director)["passes"]
        wait_until(lambda: serving.status(director)["passes"] > passes + 3, 20, "a few intervals")
    probes = [each for each in seen if each.tunnel and each.source == director.address4 and each.is_syn]
    ends = [each for each in seen if each.tunnel and each.source == director.address4 and each.tcp_flags == 0x04]
    assert {each.destination for each in probes} == {ip_address(vip) for vip in VIPS if ":" not in vip}
    assert abs(len(probes) - len(ends)) <= len(VIPS)
    # One may be on its way just now; those that are left behind would stay for a minute.
    half_open = ["ss", "-Htn", "state", "syn-recv"]
    wait_until(lambda: str(director.address4) not in server.run(half_open), 5, "no probe to be half open")
    assert not at_client


def test_without_the_capability_the_error_names_the_remedy(serving: Serving) -> None:
    director = serving.lab.directors[0]
    code = (
        "from ipaddress import ip_address\n"
        "from appliance.checks.wire import ProbeWire\n"
        "from appliance.errors import KernelError\n"
        "try:\n"
        f"    ProbeWire().send(bytes(40), ip_address('{serving.lab.servers[0].address4}'))\n"
        "except KernelError as error:\n"
        "    print(error)\n"
    )
    said = director.run(["setpriv", "--bounding-set=-net_raw", str(TREE / ".venv/bin/python"), "-c", code])
    assert said == "open probe sockets for IPv4: EPERM (give it CAP_NET_RAW, or set checks.mode to none)\n"
