"""Links, addresses and routes that somebody else changes: what our readings and our monitor make of it."""

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from appliance.errors import KernelError
from appliance.model.address import Address
from appliance.model.observed import ObservedLink
from appliance.model.plan import AddAddress, EnsureLink, Outcome
from appliance.routes.kernel import RouteKernel
from appliance.vips.kernel import KernelMonitor, VipKernel

LINK = "dummy-vip-if"
V4, V6 = ip_address("10.50.0.1"), ip_address("2001:db8::50")
Ip = Callable[..., None]


def test_a_dummy_that_is_there_is_adopted_and_set_up(ip: Ip) -> None:
    ip("link", "add", LINK, "type", "dummy")
    ip("address", "add", f"{V4}/32", "dev", LINK)
    with VipKernel(LINK) as vips:
        assert vips.dump() == ObservedLink(True, False, frozenset({V4}))
        assert [result.outcome for result in vips.apply([EnsureLink()])] == [Outcome.DONE]
        assert vips.dump() == ObservedLink(True, True, frozenset({V4}))


def test_a_link_of_our_name_and_another_kind_is_left_alone(ip: Ip) -> None:
    ip("link", "add", LINK, "type", "veth", "peer", "name", "other")
    with VipKernel(LINK) as vips:
        assert vips.dump() == ObservedLink()
        results = vips.apply([EnsureLink(), AddAddress(V4)])
        assert [(result.outcome, result.errno) for result in results] == [(Outcome.FATAL, errno.EEXIST)] * 2


def test_networks_on_the_link_and_addresses_elsewhere_are_not_ours(ip: Ip) -> None:
    with VipKernel(LINK) as vips:
        vips.apply([EnsureLink(), AddAddress(V4)])
        ip("address", "add", "10.9.9.1/24", "dev", LINK)
        ip("address", "add", "10.50.0.7/32", "dev", "lo")
        assert vips.dump().addresses == {V4}


def test_ipv6_addresses_are_gone_with_the_link_down_and_the_reading_says_so(ip: Ip) -> None:
    with VipKernel(LINK) as vips:
        vips.apply([EnsureLink(), AddAddress(V4), AddAddress(V6)])
        ip("link", "set", LINK, "down")
        assert vips.dump() == ObservedLink(True, False, frozenset({V4}))


@pytest.mark.parametrize(
    ("vip", "own", "target"),
    [
        pytest.param(V4, "192.0.2.10", "10.50.0.3", id="IPv4"),
        pytest.param(V6, "2001:db8:1::10", "2001:db8::51", id="IPv6, the VIP nearer to the target"),
    ],
)
def test_a_vip_is_never_the_source_of_the_node_s_own_traffic(ip: Ip, vip: Address, own: str, target: str) -> None:
    """The uplink has no address of its own, so that every address of the node is a candidate."""
    with VipKernel(LINK) as vips:
        ip("link", "add", "up0", "type", "dummy")
        ip("link", "set", "up0", "up")
        vips.apply([EnsureLink(), AddAddress(vip)])
        ip("link", "add", "own0", "type", "dummy")
        ip("link", "set", "own0", "up")
        ip("address", "add", own, "dev", "own0")
        ip(f"-{vip.version}", "route", "add", "default", "dev", "up0")
        with socket.socket(socket.AF_INET if vip.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            assert probe.getsockname()[0] == own


def test_two_thousand_addresses_are_added_and_read() -> None:
    many = [AddAddress(ip_address("10.50.0.0") + place) for place in range(2000)]
    with VipKernel(LINK) as vips:
        results = vips.apply([EnsureLink(), *many])
        assert {result.outcome for result in results} == {Outcome.DONE}
        assert vips.dump().addresses == {step.vip for step in many}


def test_a_name_that_no_link_can_have_is_refused() -> None:
    with pytest.raises(KernelError, match="1 to 15 bytes"):
        VipKernel("much-too-long-for-a-link")


def test_routes_of_every_kind_are_judged(ip: Ip) -> None:
    ip("link", "add", "up0", "type", "dummy")
    ip("link", "set", "up0", "up")
    ip("address", "add", "192.0.2.1/24", "dev", "up0")
    ip("-6", "address", "add", "2001:db8:5::1/64", "dev", "up0", "nodad")
    ip("route", "add", "198.18.0.0/24", "via", "192.0.2.9")
    ip("-6", "route", "add", "2001:db8:6::/64", "via", "2001:db8:5::9")
    ip("route", "add", "198.18.9.0/24", "dev", "lo")
    for place, kind in enumerate(("blackhole", "unreachable", "prohibit", "throw"), start=1):
        ip("route", "add", kind, f"198.18.{place}.0/24")
        ip("-6", "route", "add", kind, f"2001:db8:9{place}::/64")
    good = {ip_network(text) for text in ("192.0.2.0/24", "198.18.0.0/24", "2001:db8:5::/64", "2001:db8:6::/64")}
    bad = {ip_network(text) for text in ("198.18.9.0/24", "203.0.113.0/24", "2001:db8:77::/64", "192.0.2.1/32")}
    bad |= {ip_network(f"198.18.{place}.0/24") for place in range(1, 5)}
    bad |= {ip_network(f"2001:db8:9{place}::/64") for place in range(1, 5)}
    with RouteKernel() as routes:
        assert routes.path_mtus(good | bad).keys() == good


def carries(*networks: str) -> dict[str, int]:
    with RouteKernel() as routes:
        return {str(network): mtu for network, mtu in routes.path_mtus(list(map(ip_network, networks))).items()}


def test_the_smallest_of_what_link_and_route_say_is_the_mtu_of_the_path(ip: Ip) -> None:
    ip("link", "add", "up0", "mtu", "9000", "type", "dummy")
    ip("link", "set", "up0", "up")
    ip("address", "add", "192.0.2.1/24", "dev", "up0")
    ip("-6", "address", "add", "2001:db8:5::1/64", "dev", "up0", "nodad")
    for version, network, gateway in (("-4", "198.18.0.0/24", "192.0.2.9"), ("-6", "2001:db8:6::/64", "2001:db8:5::9")):
        ip(version, "route", "add", network, "via", gateway, "mtu", "1400")
    on_link, routed = ("192.0.2.0/24", "2001:db8:5::/64"), ("198.18.0.0/24", "2001:db8:6::/64")
    assert carries(*on_link, *routed) == {**dict.fromkeys(on_link, 9000), **dict.fromkeys(routed, 1400)}
    ip("link", "set", "up0", "mtu", "1300")
    assert carries(*on_link, *routed) == dict.fromkeys(on_link + routed, 1300)


def test_ipv6_has_an_mtu_of_its_own_on_a_link(ip: Ip) -> None:
    ip("link", "add", "up0", "type", "dummy")
    ip("link", "set", "up0", "up")
    ip("address", "add", "192.0.2.1/24", "dev", "up0")
    ip("-6", "address", "add", "2001:db8:5::1/64", "dev", "up0", "nodad")
    Path("/proc/sys/net/ipv6/conf/up0/mtu").write_text("1280")
    assert carries("192.0.2.0/24", "2001:db8:5::/64") == {"192.0.2.0/24": 1500, "2001:db8:5::/64": 1280}


@pytest.fixture
def router(ip: Ip) -> Iterator[None]:
    """A namespace ``mid`` that routes on to 10.60.0.0/24 and 2001:db8:60::/64, through a link of 1,400 bytes."""
    ip("netns", "add", "mid")
    try:
        ip("link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", "mid")
        ip("-n", "mid", "link", "add", "far0", "mtu", "1400", "type", "dummy")
        for sysctl in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            ip("netns", "exec", "mid", "sysctl", "-qw", f"{sysctl}=1")
        for place, link, host in (([], "up0", 1), (["-n", "mid"], "down0", 2), (["-n", "mid"], "far0", 9)):
            own = (
                ("10.60.0.9/24", "2001:db8:60::9/64") if host == 9 else (f"192.0.2.{host}/24", f"2001:db8:5::{host}/64")
            )
            ip(*place, "link", "set", link, "up")
            ip(*place, "address", "add", own[0], "dev", link)
            ip(*place, "address", "add", own[1], "dev", link, "nodad")
        ip("route", "add", "10.60.0.0/24", "via", "192.0.2.2")
        ip("-6", "route", "add", "2001:db8:60::/64", "via", "2001:db8:5::2")
        yield
    finally:
        ip("netns", "delete", "mid")


@pytest.mark.usefixtures("router")
@pytest.mark.parametrize(
    ("subnet", "first", "option"),
    [
        # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: PMTUDISC_DO (linux/in.h, in6.h). What is too large is not fragmented.
        pytest.param("10.60.0.0/24", "10.60.0.1", (socket.IPPROTO_IP, 10, 2), id="IPv4"),
        pytest.param("2001:db8:60::/64", "2001:db8:60::1", (socket.IPPROTO_IPV6, 23, 2), id="IPv6"),
    ],
)
def test_what_a_router_says_of_a_smaller_link_beyond_it_counts(
    subnet: str, first: str, option: tuple[int, int, int]
) -> None:
    assert carries(subnet) == {subnet: 1500}
    deadline_s = time.monotonic() + 10
    with socket.socket(socket.AF_INET6 if ":" in first else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(*option)
        sender.connect((first, 9))
        while carries(subnet) == {subnet: 1500} and time.monotonic() < deadline_s:
            with contextlib.suppress(OSError):  # the kernel hands on what the router said
                sender.send(bytes(1440))
    assert carries(subnet) == {subnet: 1400}


def test_one_reading_asks_for_two_thousand_subnets(ip: Ip) -> None:
    ip("link", "add", "up0", "type", "dummy")
    ip("link", "set", "up0", "up")
    ip("route", "add", "10.0.0.0/8", "dev", "up0")
    subnets = [f"10.{place >> 8}.{place & 255}.0/24" for place in range(2000)]
    assert carries(*subnets) == dict.fromkeys(subnets, 1500)


def test_the_monitor_says_that_something_changed_and_is_quiet_otherwise(ip: Ip) -> None:
    async def story() -> None:
        with KernelMonitor() as monitor:
            changes = monitor.changes()
            waiting = asyncio.ensure_future(anext(changes))
            _, quiet = await asyncio.wait({waiting}, timeout=0.05)
            assert quiet
            ip("link", "add", LINK, "type", "dummy")
            await asyncio.wait_for(waiting, 2)
            for place in range(20):
                ip("address", "add", f"10.50.0.{place}/32", "dev", LINK)
            await asyncio.wait_for(anext(changes), 2)
            waiting = asyncio.ensure_future(anext(changes))
            _, quiet = await asyncio.wait({waiting}, timeout=0.05)
            assert quiet, "a burst is one change"
            ip("address", "del", "10.50.0.1/32", "dev", LINK)
            await asyncio.wait_for(waiting, 2)

    asyncio.run(story())
