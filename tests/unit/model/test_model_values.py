"""The values that everything else is built from."""

from dataclasses import FrozenInstanceError
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.address import Address, address_order, host_prefix
from appliance.model.desired import Backend, Desired, DesiredService, Problem, canonical
from appliance.model.routing import Announcement, PeerView, Routing
from appliance.model.service import (
    Destination,
    Forwarding,
    Protocol,
    ServiceFlag,
    ServiceKey,
    Tunnel,
    TunnelFlag,
    TunnelType,
    VirtualService,
)

V4, V6 = ip_address("10.50.0.1"), ip_address("2001:db8::1")
TCP, UDP = Protocol.TCP, Protocol.UDP
ADDRESSES = ["9.0.0.1", "10.0.0.9", "10.0.0.10", "::1", "fd00::9", "fd00::10"]
KEYS = [ServiceKey(V4, TCP, 80), ServiceKey(V4, TCP, 443), ServiceKey(V4, UDP, 53), ServiceKey(V6, TCP, 1)]


@given(st.permutations(ADDRESSES))
def test_i9_addresses_are_ordered_by_family_and_number_not_by_text(shuffled: list[str]) -> None:
    assert sorted(shuffled, key=lambda text: address_order(ip_address(text))) == ADDRESSES


def test_i9_backends_have_one_canonical_order() -> None:
    one, two, six = (Backend(ip_address(text)) for text in ("10.0.0.9", "10.0.0.10", "fd00::1"))

    assert canonical([six, two, one]) == canonical([two, one, six]) == (one, two, six)


@pytest.mark.parametrize(("address", "text"), [(V4, "10.50.0.1/32"), (V6, "2001:db8::1/128")], ids=["IPv4", "IPv6"])
def test_a_vip_is_written_as_the_prefix_of_one_host(address: Address, text: str) -> None:
    assert host_prefix(address) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        pytest.param(ServiceKey(V4, TCP, 80), "tcp/10.50.0.1:80", id="IPv4"),
        pytest.param(ServiceKey(V6, Protocol.SCTP, 80), "sctp/[2001:db8::1]:80", id="IPv6"),
    ],
)
def test_a_service_key_reads_as_protocol_address_and_port(key: ServiceKey, text: str) -> None:
    assert str(key) == text


@given(st.permutations(KEYS))
def test_service_keys_are_ordered_by_address_protocol_and_port(shuffled: list[ServiceKey]) -> None:
    assert sorted(shuffled, key=lambda key: key.order) == KEYS


@pytest.mark.parametrize(
    ("vip", "written", "prefix"),
    [
        pytest.param(V4, 0, 32, id="IPv4 unset"),
        pytest.param(V6, 0, 128, id="IPv6 unset"),
        pytest.param(V4, 24, 24, id="set"),
    ],
)
def test_an_unset_persistence_prefix_means_each_client_its_own(vip: Address, written: int, prefix: int) -> None:
    service = VirtualService(ServiceKey(vip, TCP, 80), "mh", persistence_prefix=written)

    assert service.persistence_prefix == prefix


def test_a_destination_is_named_by_address_and_port_alone() -> None:
    one, other = Destination(V4, 80, 1), Destination(V4, 80, 0, Forwarding.DIRECT)

    assert one.identity == other.identity == (V4, 80)
    assert one != other


def test_only_ready_backends_with_a_weight_take_connections() -> None:
    backends = (Backend(ip_address("10.0.0.1"), 2), Backend(ip_address("10.0.0.2"), 0), Backend(V4, 1, ready=False))

    assert DesiredService(ServiceKey(V4, TCP, 80), "default/web", "mh", backends=backends).ready == 1


def test_the_place_where_a_service_is_written_is_no_part_of_what_it_is() -> None:
    """A line inserted above it is no change."""
    key = ServiceKey(V4, TCP, 80)

    assert DesiredService(key, "default/web", "mh", origin="a.yaml:1") == DesiredService(key, "default/web", "mh")


def test_several_services_on_one_vip_want_it_once() -> None:
    services = [DesiredService(ServiceKey(vip, TCP, port), "web", "mh") for vip in (V4, V6) for port in (80, 443)]

    assert Desired({each.key: each for each in services}).vips == {V4, V6}


@pytest.mark.parametrize(
    ("remedy", "text"),
    [("write 1 to 65535", "web.yaml:3: port 0 (write 1 to 65535)"), ("", "web.yaml:3: port 0")],
    ids=["with a remedy", "without"],
)
def test_a_problem_reads_as_place_fault_and_remedy(remedy: str, text: str) -> None:
    assert str(Problem("web.yaml:3", "port 0", remedy)) == text


def test_only_established_peers_are_told_anything() -> None:
    peers = (
        PeerView("r1", established=True, exported=frozenset({V4})),
        PeerView("r2", established=False, exported=frozenset({V6})),
    )

    assert Routing(peers=peers).exported == {V4}
    assert Routing().exported == frozenset()


def test_what_is_avoided_is_announced_all_the_same_and_nothing_else_is_avoided() -> None:
    both = frozenset({V4, V6})
    assert Announcement(both, avoided=frozenset({V4})).depreferred == {V4}
    assert Announcement(frozenset({V6}), avoided=frozenset({V4})).depreferred == frozenset()
    assert Announcement(both, node_avoided=True).depreferred == both


@pytest.mark.parametrize(
    ("routing", "stands"),
    [
        pytest.param(Routing(held=frozenset({V4}), depreferred=frozenset({V4})), True, id="as told"),
        pytest.param(Routing(held=frozenset({V4})), False, id="without the mark"),
        pytest.param(Routing(held=frozenset({V4, V6}), depreferred=frozenset({V4})), False, id="one VIP more"),
        pytest.param(Routing(), False, id="nothing"),
    ],
)
def test_an_announcement_stands_when_vips_and_marks_are_as_told(routing: Routing, *, stands: bool) -> None:
    assert Announcement(frozenset({V4}), node_avoided=True).stands_in(routing) is stands


@pytest.mark.parametrize(
    ("member", "number"),
    [
        (Protocol.TCP, 6),
        (Protocol.UDP, 17),
        (Protocol.SCTP, 132),
        (Forwarding.MASQUERADE, 0),
        (Forwarding.LOCAL, 1),
        (Forwarding.TUNNEL, 2),
        (Forwarding.DIRECT, 3),
        (TunnelType.IPIP, 0),
        (TunnelType.GUE, 1),
        (TunnelType.GRE, 2),
        (TunnelFlag.CHECKSUM, 1),
        (TunnelFlag.REMOTE_CHECKSUM, 2),
        (ServiceFlag.PERSISTENT, 1),
        (ServiceFlag.ONE_PACKET, 4),
        (ServiceFlag.SCHEDULER_1, 8),
        (ServiceFlag.SCHEDULER_2, 16),
        (ServiceFlag.SCHEDULER_3, 32),
    ],
    ids=str,
)
def test_numbers_are_those_of_the_kernel(member: int, number: int) -> None:
    """include/uapi/linux/ip_vs.h and the IANA protocol numbers."""
    assert int(member) == number


@pytest.mark.parametrize(
    ("tunnel", "text", "over_ipv4", "over_ipv6"),
    [
        (Tunnel(), "ipip", 20, 40),
        (Tunnel(TunnelType.GUE, 6080), "gue:6080", 32, 52),
        (Tunnel(TunnelType.GUE, 6080, TunnelFlag.CHECKSUM), "gue:6080,csum", 32, 52),
        (Tunnel(TunnelType.GUE, 6080, TunnelFlag.REMOTE_CHECKSUM), "gue:6080,remcsum", 40, 60),
        (Tunnel(TunnelType.GRE), "gre", 24, 44),
        (Tunnel(TunnelType.GRE, flags=TunnelFlag.CHECKSUM), "gre,csum", 28, 48),
    ],
    ids=str,
)
def test_a_tunnel_has_words_and_a_size(tunnel: Tunnel, text: str, over_ipv4: int, over_ipv6: int) -> None:
    """Bytes in front of a packet; the lab measures them on real ones."""
    assert str(tunnel) == text
    assert (tunnel.header_bytes(4), tunnel.header_bytes(6)) == (over_ipv4, over_ipv6)


def test_values_cannot_be_changed_and_can_be_counted() -> None:
    key = ServiceKey(V4, TCP, 80)

    with pytest.raises(FrozenInstanceError):
        key.port = 81  # type: ignore[misc] # the very thing that must fail
    assert len({key, ServiceKey(V4, TCP, 80)}) == 1
