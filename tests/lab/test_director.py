"""The main job with real packets: files in, IPVS programmed and proven, routes in the router."""

import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from appliance.ipvs.kernel import IpvsKernel
from appliance.model.service import Protocol, ServiceKey
from tests.lab.capture import capture
from tests.lab.faults.watcher import WITHDRAWN, Watcher
from tests.lab.hosts import wait_until
from tests.lab.serving import BOTH, STARTED_WITHIN_S, Serving
from tests.lab.topology import SERVERS, Director, build_lab

VIP4, VIP6, EMPTY_VIP = "10.50.0.1", "2001:db8:50::1", "10.50.0.9"
PORT_UDP = "80/udp"


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """Two directors that serve one VIP of each family, and one VIP that has no backend."""
    with build_lab() as lab:
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services)
        lab.serve(VIP4, VIP6)
        serving.write("web4", VIP4, ports=(80, PORT_UDP))
        serving.write("web6", VIP6, ports=(80, PORT_UDP))
        serving.write("empty", EMPTY_VIP, servers=())
        for director in lab.directors:
            serving.start(director)
        for vip in (VIP4, VIP6):
            serving.wait_for(vip, BOTH)
        yield serving


@pytest.fixture(autouse=True)
def calm(serving: Serving) -> Iterator[None]:
    """Every test begins and ends with both VIPs announced by both directors, and earlier repairs no longer counted."""
    yield
    for vip in (VIP4, VIP6):
        serving.wait_for(vip, BOTH, within_s=15)
    wait_until(lambda: not any(map(serving.repairs, serving.lab.directors)), 15, "repairs to be forgotten")


def table(director: Director) -> str:
    """The table as it should stay: services and destinations, without counters."""
    return director.run(["ipvsadm", "-Sn"])


@pytest.mark.parametrize("vip", [VIP4, VIP6])
def test_traffic_spreads_over_all_servers_and_comes_back_directly(serving: Serving, vip: str) -> None:
    lab = serving.lab
    first, second = lab.directors
    with capture(first) as at_first, capture(second) as at_second, capture(lab.client) as at_client:
        seen = lab.client.spread(vip, 60)
    assert set(seen) == set(SERVERS)
    assert any(packet.is_syn and packet.tunnel for packet in at_first)
    assert any(packet.is_syn and packet.tunnel for packet in at_second)
    assert not any(packet.is_syn_ack for packet in at_first + at_second)
    assert any(packet.is_syn_ack and packet.source == ip_address(vip) for packet in at_client)


def test_the_client_address_arrives_unchanged(serving: Serving) -> None:
    client = serving.lab.client
    assert client.ask(VIP4).client == client.address4
    assert client.ask(VIP6).client == client.address6
    assert client.ask_udp(VIP4).client == client.address4


def test_i1_a_vip_without_a_backend_is_never_announced(serving: Serving) -> None:
    assert not serving.lab.router.routes_to(EMPTY_VIP)
    vips = {each["vip"]: each for each in serving.status(serving.lab.directors[0])["vips"]}
    assert vips[EMPTY_VIP]["state"] == "withdrawn"
    assert "backends ready" in vips[EMPTY_VIP]["reason"]
    assert vips[VIP4]["announced_to"] == ["balanced_router"]


def test_flows_of_a_backend_that_leaves_move_and_the_others_stay(serving: Serving) -> None:
    lab = serving.lab
    flows = {}
    for _ in range(30):
        flow = lab.client.open(VIP4)
        flows[flow] = flow.ask().server
    leaving = SERVERS[0]
    with serving.no_route_change():
        serving.write("web4", VIP4, [server for server in lab.servers if server.name != leaving], (80, PORT_UDP))
        address = str(lab.servers[0].address4)
        wait_until(
            lambda: all(address not in table(director) for director in lab.directors), 15, f"{leaving} to have drained"
        )
        assert leaving not in lab.client.spread(VIP4, 40)
        for flow, server in flows.items():
            if server != leaving:
                assert flow.ask().server == server
            flow.close()
        serving.write("web4", VIP4, ports=(80, PORT_UDP))
        wait_until(lambda: leaving in lab.client.spread(VIP4, 20), 10, f"{leaving} to answer again")


def test_without_routes_to_its_backends_a_director_does_not_serve(serving: Serving) -> None:
    lab = serving.lab
    director = lab.directors[0]
    director.remove_routes_to_servers()
    for vip in (VIP4, VIP6):
        serving.wait_for(vip, {"director2"}, within_s=5)
        assert len(lab.client.spread(vip, 30)) == len(SERVERS)
    director.restore_routes_to_servers()
    for vip in (VIP4, VIP6):
        serving.wait_for(vip, BOTH, within_s=15)


def test_i7_a_director_killed_and_restarted_is_not_noticed(serving: Serving) -> None:
    lab = serving.lab
    director = lab.directors[0]
    before = table(director)
    with serving.no_route_change():
        serving.daemons[director.name].kill()
        assert lab.client.spread(VIP4, 20)
        daemon = serving.start(director)
        daemon.wait_for_log("adopted", STARTED_WITHIN_S)
        for _ in range(20):
            lab.client.get(VIP4)
        wait_until(lambda: serving.status(director)["passes"] > 2, 20, "three passes")
    assert table(director) == before


def test_i5_what_is_foreign_is_left_alone(serving: Serving) -> None:
    director = serving.lab.directors[0]
    director.run(["ipvsadm", "-A", "-t", "192.0.2.9:80", "-s", "wlc"])
    director.ip("addr add 192.0.2.9/32 dev dummy-vip-if", "link add foreign type dummy")
    director.write("include/foreign.conf", "protocol static foreign { ipv4; route 192.0.2.0/24 blackhole; }\n")
    director.birdc("configure")
    director.run(["ipvsadm", "-D", "-t", f"{VIP4}:80"])
    wait_until(lambda: f"-A -t {VIP4}:80" in table(director), 8, "the repair")
    passes = serving.status(director)["passes"]
    wait_until(lambda: serving.status(director)["passes"] > passes + 1, 15, "another full pass")
    assert "-A -t 192.0.2.9:80 -s wlc" in table(director)
    assert "192.0.2.9" in director.run(["ip", "addr", "show", "dev", "dummy-vip-if"])
    assert "192.0.2.0/24" in director.birdc("show route protocol foreign")
    assert "192.0.2.0/24" not in director.birdc("show route export balanced_router")


def test_i3_a_broken_file_keeps_the_last_good_state(serving: Serving) -> None:
    lab = serving.lab
    with serving.no_route_change():
        (serving.services / "broken.yaml").write_text("vip: [")
        wait_until(lambda: serving.status(lab.directors[0])["degraded"], 10, "the status to say so")
        assert lab.client.spread(VIP4, 10)
        (serving.services / "broken.yaml").unlink()
        wait_until(lambda: not serving.status(lab.directors[0])["degraded"], 10, "the status to be well again")


def test_i2_a_vip_that_goes_is_withdrawn_before_it_is_taken_apart(serving: Serving) -> None:
    lab = serving.lab
    vip = "10.50.0.7"
    lab.serve(vip)
    serving.write("passing", vip)
    serving.wait_for(vip, BOTH)
    key, watcher = ServiceKey(ip_address(vip), Protocol.TCP, 80), Watcher(lab.router)
    stood_s = 0.0
    with lab.directors[0].network(), IpvsKernel() as kernel:

        def is_gone() -> bool:
            nonlocal stood_s
            asked_s = time.time()
            stands = bool(kernel.read([key]))
            stood_s = asked_s if stands else stood_s
            return not stands

        assert not is_gone()
        (serving.services / "passing.yaml").unlink()
        wait_until(is_gone, 40, "the service to be taken apart")
    heard_s = [each.at_s for each in watcher.changes() if each.what == ("director1", WITHDRAWN, vip)]
    assert len(heard_s) == 1
    assert heard_s[0] < stood_s, "it stood when it was looked at for the last time, after the router had heard"
