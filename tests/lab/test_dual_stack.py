"""A service with a VIP of each IP version: both are served alike, and what befalls one leaves the other alone."""

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from tests.lab.capture import capture
from tests.lab.hosts import wait_until
from tests.lab.serving import BOTH, STARTED_WITHIN_S, Serving
from tests.lab.topology import SERVERS, SERVERS4, SERVERS6, Director, build_lab

VIP4, VIP6 = "10.50.0.1", "2001:db8:50::1"
VIPS = (VIP4, VIP6)
OTHER = {VIP4: VIP6, VIP6: VIP4}
SECOND_ALONE = frozenset({"director2"})
LINK = "dummy-vip-if"


def write(serving: Serving, unready: str = "") -> None:
    """One service with both VIPs and both addresses of each server; those that share a VIP's version may be unready."""
    addresses = [str(address) for server in serving.lab.servers for address in (server.address4, server.address6)]
    backends = [{"address": each, "ready": not unready or (":" in each) != (":" in unready)} for each in addresses]
    serving.write_all("web", [{"name": "web", "vip": list(VIPS), "ports": [80, "80/udp"], "backends": backends}])


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """Two directors that serve it."""
    with build_lab() as lab:
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services)
        lab.serve(*VIPS)
        write(serving)
        for director in lab.directors:
            serving.start(director)
        for vip in VIPS:
            serving.wait_for(vip, BOTH, within_s=2 * STARTED_WITHIN_S)
        yield serving


@pytest.fixture(autouse=True)
def calm(serving: Serving) -> Iterator[None]:
    """Every test ends with both VIPs announced by both directors, and earlier repairs no longer counted."""
    yield
    for vip in VIPS:
        serving.wait_for(vip, BOTH)
    wait_until(lambda: not any(map(serving.repairs, serving.lab.directors)), 15, "repairs to be forgotten")


def table(director: Director) -> str:
    """Services and destinations, without counters."""
    return director.run(["ipvsadm", "-Sn"])


@pytest.mark.parametrize("vip", VIPS)
def test_each_vip_goes_to_the_servers_by_its_own_ip_version_and_is_answered_directly(
    serving: Serving, vip: str
) -> None:
    lab = serving.lab
    own = lab.client.address4 if vip == VIP4 else lab.client.address6
    with capture(lab.directors[0]) as at_first, capture(lab.directors[1]) as at_second:
        assert set(lab.client.spread(vip, 40)) == set(SERVERS)
        answers = [lab.client.ask_udp(vip) for _ in range(20)]
    assert {answer.server for answer in answers} == set(SERVERS)
    assert {answer.client for answer in answers} == {own}
    for seen in (at_first, at_second):
        tunnelled = [packet for packet in seen if packet.tunnel and packet.destination == ip_address(vip)]
        assert {end.version for packet in tunnelled for end in packet.tunnel or ()} == {ip_address(vip).version}
        assert not [packet for packet in seen if packet.source == ip_address(vip)]


@pytest.mark.parametrize("vip", VIPS)
def test_each_route_comes_over_the_session_of_its_ip_version(serving: Serving, vip: str) -> None:
    length = ip_address(vip).max_prefixlen
    suffix, address = ("", "address4") if vip == VIP4 else ("_v6", "address6")
    shown = serving.lab.router.birdc(f"show route {vip}/{length} all")
    for director in serving.lab.directors:
        assert f"[{director.name}{suffix} " in shown
        assert f"BGP.next_hop: {getattr(director, address)}" in shown


@pytest.mark.parametrize("vip", VIPS)
def test_without_a_ready_backend_of_one_version_only_that_vip_goes(serving: Serving, vip: str) -> None:
    lab, other = serving.lab, OTHER[vip]
    write(serving, unready=vip)
    serving.wait_for(vip, (), within_s=10)
    assert lab.router.routes_to(other) == BOTH
    assert len(lab.client.spread(other, 20)) == len(SERVERS)
    write(serving)
    serving.wait_for(vip, BOTH)


@pytest.mark.parametrize(("vip", "servers"), [(VIP4, SERVERS4), (VIP6, SERVERS6)])
def test_without_routes_of_one_version_a_director_keeps_the_other(serving: Serving, vip: str, servers: str) -> None:
    lab, other = serving.lab, OTHER[vip]
    director = lab.directors[0]
    director.ip(f"route del {servers}")
    serving.wait_for(vip, SECOND_ALONE, within_s=10)
    assert lab.router.routes_to(other) == BOTH
    for each in VIPS:
        assert len(lab.client.spread(each, 20)) == len(SERVERS)
    director.ip(f"route add {servers} via {director.link.router4 if vip == VIP4 else director.link.router6}")
    serving.wait_for(vip, BOTH)


BREAKAGES = {
    "address": ["ip", "address", "del", f"{VIP6}/128", "dev", LINK],
    "service": ["ipvsadm", "-D", "-t", f"[{VIP6}]:80"],
    "destination": ["ipvsadm", "-d", "-u", f"[{VIP6}]:80", "-r", "[2001:db8:1:1::2]:80"],
    "weight": ["ipvsadm", "-e", "-t", f"[{VIP6}]:80", "-r", "[2001:db8:1:1::2]:80", "-i", "-w", "9"],
}


@pytest.mark.parametrize("command", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_what_is_broken_of_an_ipv6_vip_is_repaired_without_a_route_change(serving: Serving, command: list[str]) -> None:
    director = serving.lab.directors[0]

    def state() -> tuple[str, str]:
        return table(director), director.run(["ip", "-6", "-o", "address", "show", "dev", LINK, "scope", "global"])

    before = state()
    with serving.no_route_change():
        director.run(command)
        wait_until(lambda: state() == before, 10, "the repair")
        assert serving.lab.client.spread(VIP6, 10)


def test_where_the_kernel_takes_no_ipv6_address_only_the_ipv6_vip_is_withdrawn(serving: Serving) -> None:
    lab = serving.lab
    director = lab.directors[0]
    director.sysctl(f"net.ipv6.conf.{LINK}.disable_ipv6", 1)
    serving.wait_for(VIP6, SECOND_ALONE, within_s=10)
    assert lab.router.routes_to(VIP4) == BOTH
    for vip in VIPS:
        assert len(lab.client.spread(vip, 20)) == len(SERVERS)
    director.sysctl(f"net.ipv6.conf.{LINK}.disable_ipv6", 0)
    serving.wait_for(VIP6, BOTH)


def test_the_client_of_a_director_that_is_left_goes_on_with_its_ipv6_connection(serving: Serving) -> None:
    """The other director never saw it, and hashes it to the same server."""
    lab = serving.lab
    flows = [lab.client.open(VIP6) for _ in range(20)]
    servers = [flow.ask().server for flow in flows]
    lab.directors[0].ip(f"route del {SERVERS6}")
    serving.wait_for(VIP6, SECOND_ALONE, within_s=10)
    assert [flow.ask().server for flow in flows] == servers
    for flow in flows:
        flow.close()
    lab.directors[0].ip(f"route add {SERVERS6} via {lab.directors[0].link.router6}")


def test_when_the_service_goes_both_vips_do(serving: Serving) -> None:
    (serving.services / "web.yaml").rename(serving.services / "web.away")
    (serving.services / "none.yaml").write_text("services: []")
    for vip in VIPS:
        serving.wait_for(vip, (), within_s=10)
    wait_until(lambda: not any(map(table, serving.lab.directors)), 20, "the services to be taken apart")
    (serving.services / "none.yaml").unlink()
    write(serving)
