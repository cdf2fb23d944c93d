"""VIPs of one IP version over a BGP session of the other: what ``families`` at a peer says, with real packets."""

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from tests.lab.hosts import wait_until
from tests.lab.plan import LINKS
from tests.lab.router import router_config
from tests.lab.serving import BOTH, STARTED_WITHIN_S, Serving
from tests.lab.topology import ROUTER_AS, SERVERS, build_lab

VIP4, VIP6 = "10.50.0.1", "2001:db8:50::1"
VIPS = (VIP4, VIP6)
# One session each: over IPv6 from the first director, over IPv4 from the second.
OVER = {"director1": "router6", "director2": "router4"}


def peer(director: str) -> str:
    """The only peer of a director."""
    address = getattr(LINKS[director], OVER[director])
    return f'[{{name: router, address: "{address}", as: {ROUTER_AS}, families: [ipv4, ipv6]}}]'


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """Two directors that announce a VIP of each IP version over one session."""
    with build_lab() as lab:
        lab.router.write("bird.conf", router_config(any_family=True))
        lab.router.birdc("configure")
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services, peers={name: peer(name) for name in OVER})
        lab.serve(*VIPS)
        for vip in VIPS:
            serving.write(f"web{ip_address(vip).version}", vip)
        for director in lab.directors:
            serving.start(director)
        for vip in VIPS:
            serving.wait_for(vip, BOTH, within_s=2 * STARTED_WITHIN_S)
        yield serving


def test_each_director_has_one_session_and_both_vips_are_told_over_it(serving: Serving) -> None:
    up = {name for name, session in serving.lab.router.sessions().items() if session.established}
    assert up == {"director1_v6", "director2"}
    for director in serving.lab.directors:
        told = {each["vip"]: each["announced_to"] for each in serving.asked(director)["vips"]}
        assert told == {key: ["balanced_router"] for key in VIPS}


def test_an_ipv4_vip_over_an_ipv6_session_has_an_ipv6_next_hop(serving: Serving) -> None:
    """RFC 8950."""
    shown = serving.lab.router.birdc(f"show route {VIP4}/32 protocol director1_v6 all")
    assert f"BGP.next_hop: {serving.lab.directors[0].address6}" in shown


def test_an_ipv6_vip_over_an_ipv4_session_has_the_ipv6_address_of_that_link_as_next_hop(serving: Serving) -> None:
    shown = serving.lab.router.birdc(f"show route {VIP6}/128 protocol director2 all")
    assert f"BGP.next_hop: {serving.lab.directors[1].address6}" in shown


@pytest.mark.parametrize("vip", VIPS)
@pytest.mark.parametrize("name", OVER)
def test_clients_are_served_through_such_a_route_alone(serving: Serving, vip: str, name: str) -> None:
    """The other director has no way to the servers meanwhile, and withdraws."""
    lab = serving.lab
    (other,) = (director for director in lab.directors if director.name != name)
    other.remove_routes_to_servers()
    serving.wait_for(vip, {name}, within_s=10)
    assert set(lab.client.spread(vip, 20)) == set(SERVERS)
    other.restore_routes_to_servers()
    for each in VIPS:
        serving.wait_for(each, BOTH)
    wait_until(lambda: not any(map(serving.repairs, lab.directors)), 15, "repairs to be forgotten")
