"""Adapters as they are, at work in a namespace of their own: what they see, and where the host has a say."""

import asyncio
import errno
from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from appliance.errors import KernelError
from appliance.host.kernel import HostKernel
from appliance.host.settings import HostSettings
from appliance.isolation.namespace import Namespace
from appliance.isolation.place import Host, Isolated
from appliance.isolation.plan import Passage
from appliance.model.host import Change, Sysctl
from appliance.model.observed import ObservedLink
from appliance.netlink.message import Request
from appliance.netlink.transport import NETLINK_ROUTE, NetlinkSocket
from appliance.routes.kernel import RouteKernel
from appliance.vips.codec import link_request
from appliance.vips.kernel import KernelMonitor, VipKernel
from tests.netns import Namespace as Network

PASSAGE = Passage((ip_network("10.9.0.0/31"),), (ip_network("10.50.0.0/24"),), ("up0",))
BACKENDS, ELSEWHERE = ip_network("10.60.0.0/24"), ip_network("10.61.0.0/24")


@pytest.fixture
def host() -> Iterator[Network]:
    with Network() as network:
        network.run("ip", "link", "add", "up0", "mtu", "1400", "type", "veth", "peer", "name", "away0")
        network.run("ip", "link", "set", "up0", "up")
        network.run("ip", "link", "set", "away0", "up")
        network.run("ip", "route", "add", str(BACKENDS), "dev", "up0")
        yield network


@pytest.fixture
def own() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def place(host: Network, own: Network, told: list[str]) -> Iterator[Host]:
    with host.entered(), Isolated(Path(own.path), PASSAGE, told.append) as place:
        yield place


def test_reading_the_link_makes_the_way_to_it_and_tells_so_once(place: Host, told: list[str]) -> None:
    link = place.link(VipKernel, "dummy-vip-if")
    assert link.dump() == link.dump() == ObservedLink()
    assert len(told) == 1
    assert "links vip-veth and host-veth" in told[0]
    assert link.exists("host-veth")
    assert not link.exists("vip-veth")


def test_backends_are_reached_by_the_routes_of_both(place: Host, own: Network) -> None:
    place.link(VipKernel, "dummy-vip-if").dump()
    routes = place.routes(RouteKernel)
    assert routes.path_mtus([BACKENDS, ELSEWHERE]) == {BACKENDS: 1400}
    own.run("ip", "route", "del", "default")
    assert routes.path_mtus([BACKENDS]) == {}


def test_a_socket_that_is_opened_anew_is_opened_in_the_namespace(host: Network, own: Network) -> None:
    """As after a reading that failed; one that is used from here, and only made there, would not be."""
    own.run("ip", "link", "add", "inner0", "type", "veth", "peer", "name", "inner1")
    with host.entered(), Namespace(Path(own.path)) as namespace:
        with_proxy, without = (
            namespace.inside(NetlinkSocket, NETLINK_ROUTE),
            namespace.run(NetlinkSocket, NETLINK_ROUTE),
        )
        for netlink in (with_proxy, without):
            with pytest.raises(KernelError, match="list nothing"):
                netlink.dump(Request(0x7FFF, b""), "nothing")
        found = [netlink.transact([link_request("inner0")])[0].errno for netlink in (with_proxy, without)]
        assert found == [0, errno.ENODEV]
        with_proxy.close()
        without.close()


def test_changes_on_both_sides_are_heard(place: Host, host: Network, own: Network) -> None:
    async def story() -> None:
        changes = place.monitor(KernelMonitor).changes()
        for number, side in enumerate((host, own, host)):
            waiting = asyncio.ensure_future(anext(changes))
            _, quiet = await asyncio.wait({waiting}, timeout=0.05)
            assert quiet
            side.run("ip", "route", "add", "unreachable", f"10.70.{number}.0/24")
            await asyncio.wait_for(waiting, 2)
        await changes.aclose()  # type: ignore[attr-defined]  # an async generator behind its protocol

    asyncio.run(story())


def test_the_host_s_settings_are_the_host_s(place: Host, host: Network, own: Network, tmp_path: Path) -> None:
    def make(wanted: Iterable[Sysctl]) -> HostSettings:
        return HostSettings(HostKernel(), wanted, tmp_path / "host-changes.json")

    settings = place.settings(make, [Sysctl("net/ipv4/vs/sloppy_tcp", "1", "no such setting without ip_vs")])
    forwarding = Change("net/ipv4/conf/up0/forwarding", "0", "1")
    assert forwarding in settings.differing()
    assert forwarding in settings.change([forwarding]).made
    assert settings.differing() == tuple(each for each in settings.differing() if each.key.startswith("net/ipv4/vs/"))
    assert host.run("sysctl", "-n", "net.ipv4.conf.up0.forwarding") == "1\n"
    assert own.run("sysctl", "-n", "net.ipv4.conf.all.forwarding") == "0\n"


def test_on_the_host_nothing_stands_between(host: Network) -> None:
    with host.entered(), Host() as place:
        assert place.routes(RouteKernel).path_mtus([BACKENDS]) == {BACKENDS: 1400}
        link = place.link(VipKernel, "dummy-vip-if")
        assert isinstance(link, VipKernel)
    with pytest.raises(OSError, match="Bad file descriptor"):
        link.exists("up0")
