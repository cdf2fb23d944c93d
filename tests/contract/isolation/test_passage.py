"""The way into a namespace of our own, in the real kernel: veth, addresses, routes, and what cuts it."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from appliance.errors import KernelError
from appliance.isolation.kernel import Kept, PassageKernel
from appliance.isolation.namespace import Namespace
from appliance.isolation.plan import INSIDE, OUTSIDE, Passage, outside_end
from appliance.model.address import Address
from tests.netns import Namespace as Network

V4, V6 = ip_address("10.50.0.1"), ip_address("2001:db8:50::1")
PASSAGE = Passage(
    networks=(ip_network("10.9.0.0/31"), ip_network("2001:db8:9::/127")),
    pools=(ip_network("10.50.0.0/24"), ip_network("2001:db8:50::/64")),
    uplinks=("up0",),
)
FORWARDING = ("net.ipv4.conf.up0.forwarding", "net.ipv6.conf.all.forwarding")


@pytest.fixture
def host() -> Iterator[Network]:
    """The host: an uplink of 1,400 bytes, whose other end is nowhere."""
    with Network() as network:
        network.run("ip", "link", "add", "up0", "mtu", "1400", "type", "veth", "peer", "name", "away0")
        network.run("ip", "link", "set", "up0", "up")
        yield network


@pytest.fixture
def own() -> Iterator[Network]:
    """The namespace that is to be the director's own."""
    with Network() as network:
        network.run("ip", "link", "set", "lo", "down")
        yield network


@pytest.fixture
def namespace(own: Network) -> Iterator[Namespace]:
    with Namespace(Path(own.path)) as namespace:
        yield namespace


@pytest.fixture
def way(host: Network, namespace: Namespace) -> Iterator[PassageKernel]:
    """The way, not made yet."""
    with host.entered(), PassageKernel(PASSAGE, namespace) as way:
        yield way


@pytest.fixture
def made(host: Network, way: PassageKernel) -> PassageKernel:
    """The way, made, in a host that forwards."""
    assert not way.keep().refused
    for key in FORWARDING:
        host.run("sysctl", "-qw", f"{key}=1")
    return way


def test_what_is_missing_is_made_once_and_left_alone_then(way: PassageKernel, host: Network, own: Network) -> None:
    kept = way.keep()
    assert kept.refused == ""
    assert kept.made[0] == f"links {OUTSIDE} and {INSIDE}"
    assert way.keep() == Kept()
    routes = host.run("ip", "route"), host.run("ip", "-6", "route")
    assert f"10.50.0.0/24 via 10.9.0.1 dev {OUTSIDE} proto 113" in routes[0]
    assert f"2001:db8:50::/64 via 2001:db8:9::1 dev {OUTSIDE} proto 113" in routes[1]
    assert f"default via 10.9.0.0 dev {INSIDE}" in own.run("ip", "route")
    assert f"default via 2001:db8:9:: dev {INSIDE}" in own.run("ip", "-6", "route")
    assert "UP" in own.run("ip", "-br", "link", "show", "lo")


def test_the_links_are_as_wide_as_the_narrowest_uplink(made: PassageKernel, host: Network, own: Network) -> None:
    assert "mtu 1400" in host.run("ip", "link", "show", OUTSIDE)
    host.run("ip", "link", "set", "up0", "mtu", "1300")
    assert made.keep().made == (f"MTU 1400 -> 1300 of {INSIDE}", f"MTU 1400 -> 1300 of {OUTSIDE}")
    assert "mtu 1300" in own.run("ip", "link", "show", INSIDE)


def _serve(own: Network) -> None:
    own.run("ip", "address", "add", f"{V4}/32", "dev", "lo")
    own.run("ip", "address", "add", f"{V6}/128", "dev", "lo", "nodad")


@pytest.mark.parametrize("vip", [V4, V6])
def test_the_host_reaches_what_listens_in_the_namespace(
    made: PassageKernel, host: Network, own: Network, vip: Address
) -> None:
    _serve(own)
    assert made.cut([vip]) == {}
    family = socket.AF_INET if vip.version == 4 else socket.AF_INET6
    with own.entered():
        server = socket.create_server((str(vip), 80), family=family)
    with server, host.entered(), socket.create_connection((str(vip), 80), timeout=5) as client:
        assert ip_address(client.getsockname()[0]) == outside_end(PASSAGE.networks[vip.version == 6])


def test_what_was_broken_by_hand_is_put_in_order(made: PassageKernel, host: Network, own: Network) -> None:
    host.run("ip", "route", "del", "10.50.0.0/24")
    own.run("ip", "address", "del", "10.9.0.1/31", "dev", INSIDE)
    own.run("ip", "-6", "route", "del", "default")
    host.run("sysctl", "-qw", f"net.ipv4.conf.{OUTSIDE}.forwarding=0")
    assert made.keep().made == (
        f"10.9.0.1 on {INSIDE}",
        "default via 10.9.0.0",
        "default via 2001:db8:9::",
        f"{OUTSIDE} forwards IPv4",
        "10.50.0.0/24 via 10.9.0.1",
    )
    assert made.cut([V4, V6]) == {}
    host.run("ip", "link", "del", OUTSIDE)
    assert made.cut([V4]) == {V4: f"the link {OUTSIDE} into the namespace is missing"}
    assert made.keep().refused == ""


def test_a_link_that_is_down_is_set_up_with_its_routes(made: PassageKernel, host: Network) -> None:
    host.run("ip", "link", "set", OUTSIDE, "down")
    assert set(made.cut([V4, V6])) == {V4, V6}
    assert f"{OUTSIDE} up" in made.keep().made
    assert made.cut([V4, V6]) == {}


@pytest.mark.parametrize(
    ("command", "vip", "reason"),
    [
        ("ip route add 10.50.0.1/32 dev up0", V4, "this host does not send 10.50.0.1 into the namespace"),
        ("ip route add blackhole 10.50.0.1/32", V4, "this host does not send 10.50.0.1 into the namespace"),
        ("ip address add 10.50.0.1/32 dev lo", V4, "this host does not send 10.50.0.1 into the namespace"),
        ("ip -6 route add 2001:db8:50::1/128 dev up0", V6, "this host does not send 2001:db8:50::1 into the namespace"),
        ("sysctl -qw net.ipv4.conf.up0.forwarding=0", V4, "up0 does not forward IPv4 packets"),
        ("sysctl -qw net.ipv6.conf.all.forwarding=0", V6, "does not forward IPv6 packets"),
    ],
)
def test_what_somebody_else_puts_in_the_way_cuts_these_vips_and_no_others(
    made: PassageKernel, host: Network, command: str, vip: Address, reason: str
) -> None:
    host.run(*command.split())
    assert made.keep() == Kept(), "it is not ours to remove"
    cut = made.cut([V4, V6])
    assert cut.keys() == {vip}
    assert reason in cut[vip]


def test_another_link_of_our_name_is_not_touched(way: PassageKernel, host: Network) -> None:
    host.run("ip", "link", "add", OUTSIDE, "type", "veth", "peer", "name", "other")
    assert "none of ours" in way.keep().refused
    assert "other" in host.run("ip", "link")


@pytest.mark.usefixtures("made")
def test_a_second_keeper_takes_over_what_the_first_one_made(host: Network, own: Network) -> None:
    with host.entered(), Namespace(Path(own.path)) as again, PassageKernel(PASSAGE, again) as way:
        assert way.keep() == Kept()


def test_what_is_made_inside_stays_inside_also_when_it_opens_sockets_later(
    host: Network, own: Network, namespace: Namespace
) -> None:
    class Opener:
        def inode(self) -> int:
            return Path("/proc/thread-self/ns/net").stat().st_ino

    own_inode = Path(own.path).stat().st_ino
    with host.entered():
        assert namespace.inside(Opener).inode() == own_inode
        assert namespace.run(Opener().inode) == own_inode
        assert Opener().inode() != own_inode


def test_an_error_inside_is_the_caller_s(namespace: Namespace) -> None:
    with pytest.raises(ZeroDivisionError):
        namespace.run(divmod, 1, 0)


def test_a_namespace_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"open network namespace .*/lvs: ENOENT"):
        Namespace(tmp_path / "lvs")


def test_a_file_that_is_no_namespace_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "lvs").touch()
    with pytest.raises(KernelError, match=r"enter network namespace .*/lvs: EINVAL \(.*ip netns add lvs"):
        Namespace(tmp_path / "lvs")
