"""Links, addresses and routes that somebody else changes: what our readings and our monitor make of it."""

import asyncio
import errno
import socket
from collections.abc import Callable
from ipaddress import ip_address, ip_network

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
        assert routes.unroutable(good | bad) == bad


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
