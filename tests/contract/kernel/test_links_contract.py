"""What the director relies on in the dummy link and in route look-ups, fake or real."""

import errno
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from appliance.director.ports import Link, Routes
from appliance.model.observed import ObservedLink
from appliance.model.plan import AddAddress, AddressStep, EnsureLink, RemoveAddress
from tests.fakes.kernel import FakeRoutes, FakeVips

V4, V6, OTHER = ip_address("10.50.0.1"), ip_address("2001:db8::50"), ip_address("10.50.0.2")


def outcomes(vips: Link, *steps: AddressStep) -> list[tuple[str, int]]:
    results = vips.apply(steps)
    assert [result.step for result in results] == list(steps)
    return [(result.outcome.value, result.errno) for result in results]


def test_no_link_is_read_as_absent(vips: Link) -> None:
    assert vips.dump() == ObservedLink()


def test_the_link_is_made_and_set_up_and_carries_both_families(vips: Link) -> None:
    assert outcomes(vips, EnsureLink(), AddAddress(V4), AddAddress(V6)) == [("done", 0)] * 3
    assert vips.dump() == ObservedLink(True, True, frozenset({V4, V6}))
    assert outcomes(vips, RemoveAddress(V4), RemoveAddress(V6)) == [("done", 0)] * 2
    assert vips.dump() == ObservedLink(True, True)


def test_a_link_and_addresses_that_stand_are_no_errors(vips: Link) -> None:
    steps: list[AddressStep] = [EnsureLink(), AddAddress(V4), AddAddress(V6)]
    vips.apply(steps)
    assert outcomes(vips, *steps, RemoveAddress(OTHER)) == [
        *[("already", errno.EEXIST)] * 3,
        ("already", errno.EADDRNOTAVAIL),
    ]


def test_an_address_without_a_link_may_work_later(vips: Link) -> None:
    assert outcomes(vips, AddAddress(V4)) == [("retry", errno.ENODEV)]
    assert vips.apply([]) == ()


def test_a_link_of_any_name_and_kind_is_seen(vips: Link, ip: Callable[..., None]) -> None:
    assert not vips.exists("kube-ipvs0")
    if isinstance(vips, FakeVips):
        vips.others.add("kube-ipvs0")
    else:
        ip("link", "add", "kube-ipvs0", "type", "dummy")
    assert vips.exists("kube-ipvs0")


def test_nothing_asked_is_nothing_found(routes: Routes) -> None:
    assert routes.path_mtus([]) == {}


def test_a_network_with_a_route_is_reachable(routes: Routes, ip: Callable[..., None]) -> None:
    network = ip_network("10.60.0.0/24")
    if not isinstance(routes, FakeRoutes):
        ip("link", "add", "up0", "type", "dummy")
        ip("link", "set", "up0", "up")
        ip("route", "add", str(network), "dev", "up0")
    assert routes.path_mtus([network]) == {network: 1500}


def test_a_path_is_as_wide_as_its_link(routes: Routes, ip: Callable[..., None]) -> None:
    wide, small = ip_network("10.60.0.0/24"), ip_network("10.61.0.0/24")
    if isinstance(routes, FakeRoutes):
        routes.set_mtu(1400, small)
    else:
        for name, network, mtu in (("up0", wide, 1500), ("up1", small, 1400)):
            ip("link", "add", name, "mtu", str(mtu), "type", "dummy")
            ip("link", "set", name, "up")
            ip("route", "add", str(network), "dev", name)
    assert routes.path_mtus([wide, small]) == {wide: 1500, small: 1400}


def test_networks_without_a_route_are_not_found(routes: Routes) -> None:
    networks = [ip_network("10.60.0.0/24"), ip_network("2001:db8:6::/64")]
    if isinstance(routes, FakeRoutes):
        routes.lose(ip_network("10.0.0.0/8"), networks[1])
    assert routes.path_mtus(networks) == {}
