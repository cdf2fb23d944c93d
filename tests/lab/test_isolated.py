"""A director whose IPVS and VIPs are in a network namespace of their own: what it serves, and what nobody reaches."""

import subprocess
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from appliance.isolation.namespace import make_if_missing
from appliance.model.address import Address
from tests.lab.capture import capture
from tests.lab.hosts import Host, wait_until
from tests.lab.serving import BOTH, STARTED_WITHIN_S, Serving
from tests.lab.topology import POOL4, SERVERS, SERVERS4, TREE, Director, build_lab

VIP4, VIP6, ALONE = "10.50.0.1", "2001:db8:50::1", frozenset({"director1"})
INSIDE4, INSIDE6 = "10.9.11.1", "2001:db8:9::1"
NETWORKS = 'netns_networks: [10.9.11.0/31, "2001:db8:9::/127"]'
CHECKS = "checks: {mode: tunnel, interval_s: 1, timeout_s: 0.9}\n"
OWN = Host("lvs")
LISTENER_PORT = 2222


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """One director with a namespace of its own, and on its host something that listens to all addresses."""
    with build_lab() as lab:
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services, daemon=NETWORKS, settings=CHECKS)
        lab.serve(VIP4, VIP6)
        serving.write("web4", VIP4, ports=(80, "80/udp"))
        serving.write("web6", VIP6)
        first = lab.directors[0]
        # As under systemd: a name that a program makes which has mounts of its own is seen by nobody else.
        assert make_if_missing(OWN.name)
        lab.router.ip(f"route add {INSIDE4} via {first.address4}", f"route add {INSIDE6} via {first.address6}")
        listen(first)
        start(serving)
        for vip in (VIP4, VIP6):
            serving.wait_for(vip, ALONE, within_s=2 * STARTED_WITHIN_S)
        yield serving
        for process in lab.processes:
            process.kill()
        subprocess.run(["ip", "netns", "delete", OWN.name], check=True)


def start(serving: Serving) -> None:
    director = serving.lab.directors[0]
    command = [TREE / ".venv/bin/balanced", "director", "--config", director.folder / "appliance.yaml"]
    serving.start(director, release=[*map(str, command), "--netns", OWN.name])


def listen(director: Director) -> None:
    """What an operator forgot: a service of the host that is bound to no address; and a way for it to answer."""
    director.ip(f"route add default via {director.link.router4}", f"route add default via {director.link.router6}")
    script = str(TREE / "tests/lab/realserver.py")
    argv = ["/usr/bin/python3", "-I", "-S", script, f"{director.name} itself", str(LISTENER_PORT)]
    director.start(argv, "listener").wait_for_log("serves on port")


def table() -> str:
    """The services and destinations in the namespace, without counters."""
    return OWN.run(["ipvsadm", "-Sn"])


def reached(serving: Serving, vip: str) -> set[str]:
    """Who answers on the listener's port of ``vip``, over 40 flows; a flow that nobody takes is refused."""
    answers = set()
    for _ in range(40):
        try:
            answers.add(serving.lab.client.get(vip, LISTENER_PORT))
        except ConnectionRefusedError:
            answers.add("nobody")
    return answers


@pytest.mark.parametrize(("vip", "source"), [(VIP4, INSIDE4), (VIP6, INSIDE6)])
def test_traffic_goes_through_the_namespace_and_comes_back_directly(serving: Serving, vip: str, source: str) -> None:
    lab = serving.lab
    with capture(lab.directors[0]) as at_director, capture(lab.servers[0]) as at_server:
        assert set(lab.client.spread(vip, 30)) == set(SERVERS)
    own = {lab.client.address4, lab.client.address6}  # answers to probes do come to the director
    assert not any(packet.is_syn_ack and packet.destination in own for packet in at_director)
    opening = [packet for packet in at_server if packet.is_syn and packet.destination == ip_address(vip)]
    assert {str(packet.tunnel[0]) for packet in opening if packet.tunnel} == {source}
    assert lab.client.ask(vip).client in own


def test_datagrams_pass_too(serving: Serving) -> None:
    assert serving.lab.client.ask_udp(VIP4).client == serving.lab.client.address4


def weights(vip: str, server: Address) -> set[str]:
    """The weight of a server in the services of ``vip``."""
    rows = [line.split() for line in table().splitlines()]
    return {row[7] for row in rows if row[:3] == ["-a", "-t", f"{vip}:80"] and row[4] == f"{server}:80"}


def test_probes_of_backends_leave_the_namespace_and_are_answered_there(serving: Serving) -> None:
    server = serving.lab.servers[2]
    assert weights(VIP4, server.address4) == {"1"}
    (service,) = (process for process in server.processes if process.running)
    service.kill()
    wait_until(lambda: weights(VIP4, server.address4) == {"0"}, 20, "the probes to fail")
    server.start_service().wait_for_log("serves on port")
    wait_until(lambda: weights(VIP4, server.address4) == {"1"}, 20, "the probes to be answered")


def test_nothing_of_it_is_in_the_network_of_the_host(serving: Serving) -> None:
    director = serving.lab.directors[0]
    assert director.run(["ipvsadm", "-Sn"]) == ""
    assert VIP4 not in director.run(["ip", "address"])
    assert f"-A -t {VIP4}:80" in table()
    assert f"{POOL4} via {INSIDE4} dev vip-veth proto 113" in director.run(["ip", "route"])


@pytest.mark.parametrize("vip", [VIP4, VIP6])
def test_what_listens_on_the_host_is_not_reached_on_a_vip(serving: Serving, vip: str) -> None:
    director = serving.lab.directors[0]
    own = director.address4 if vip == VIP4 else director.address6
    assert serving.lab.client.get(own, LISTENER_PORT) == "director1 itself"
    assert reached(serving, vip) == {"nobody"}


def test_the_status_is_well(serving: Serving) -> None:
    status = serving.asked(serving.lab.directors[0])
    assert not status["degraded"], status
    assert {each["vip"]: each["announced_to"] for each in status["vips"]}[VIP4] == ["balanced_router"]


def test_i7_a_director_killed_and_restarted_is_not_noticed(serving: Serving) -> None:
    director = serving.lab.directors[0]
    before = table()
    with serving.no_route_change():
        serving.daemons[director.name].kill()
        assert serving.lab.client.spread(VIP4, 20)
        start(serving)
        serving.daemons[director.name].wait_for_log("adopted", STARTED_WITHIN_S)
        assert serving.lab.client.spread(VIP4, 20)
        serving.await_passes(director, 3)
    assert table() == before


BREAKAGES = {
    "link_deleted": ["ip link del vip-veth"],
    "link_down": ["ip link set vip-veth down"],
    "route_deleted": [f"ip route del {POOL4}"],
    "inside_address_deleted": [f"ip netns exec lvs ip address del {INSIDE4}/31 dev host-veth"],
    "inside_route_deleted": ["ip netns exec lvs ip route del default"],
    "table_flushed": ["ip netns exec lvs ipvsadm -C"],
    "vip_deleted": [f"ip netns exec lvs ip address del {VIP4}/32 dev dummy-vip-if"],
}


@pytest.mark.parametrize("commands", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_what_is_broken_by_hand_is_repaired_without_a_route_change(serving: Serving, commands: list[str]) -> None:
    director = serving.lab.directors[0]

    def state() -> tuple[str, ...]:
        # A link that is made again has a new hardware address, and by it a new link-local one.
        routes = [host.run(["ip", "route", "show", "table", "all"]).splitlines() for host in (director, OWN)]
        return table(), *(line for lines in routes for line in sorted(lines) if "fe80:" not in line)

    wait_until(lambda: not serving.repairs(director), 15, "repairs to be forgotten")
    before = state()
    with serving.no_route_change():
        for command in commands:
            director.run(command.split())
        wait_until(lambda: state() == before, 10, "the repair")
        assert serving.lab.client.spread(VIP4, 10)


def test_a_vip_that_the_host_sends_elsewhere_is_withdrawn_and_no_other(serving: Serving) -> None:
    director = serving.lab.directors[0]
    director.ip(f"route add {VIP4}/32 via {director.link.router4}")
    serving.wait_for(VIP4, set(), within_s=10)
    reasons = {each["vip"]: each["reason"] for each in serving.asked(director)["vips"]}
    assert f"this host does not send {VIP4} into the namespace" in reasons[VIP4]
    assert serving.lab.router.routes_to(VIP6) == ALONE
    director.ip(f"route del {VIP4}/32 via {director.link.router4}")
    serving.wait_for(VIP4, ALONE)


def test_without_the_host_s_routes_to_the_backends_it_does_not_serve(serving: Serving) -> None:
    director = serving.lab.directors[0]
    director.remove_routes_to_servers()
    director.ip(f"route add unreachable {SERVERS4}")
    serving.wait_for(VIP4, set(), within_s=10)
    director.ip(f"route del unreachable {SERVERS4}")
    director.restore_routes_to_servers()
    for vip in (VIP4, VIP6):
        serving.wait_for(vip, ALONE)


def test_on_an_ordinary_director_the_same_listener_is_reached(serving: Serving) -> None:
    """What shows that the scan above can find something; there it is the guard's to keep it out."""
    second = serving.lab.directors[1]
    listen(second)
    serving.daemon = serving.settings = ""
    serving.start(second)
    for vip in (VIP4, VIP6):
        serving.wait_for(vip, BOTH, within_s=2 * STARTED_WITHIN_S)
        assert reached(serving, vip) == {"director2 itself", "nobody"}
    assert ip_address(VIP4) in {ip_address(each["vip"]) for each in serving.asked(second)["vips"]}
