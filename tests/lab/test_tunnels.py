"""Every tunnel that a service may ask for, with real packets: both IP versions, outside and inside."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from appliance.sources.terms import parse_tunnel
from tests.lab.capture import capture_bytes
from tests.lab.encapsulation import GUE_PORT, Wrapped, checksum_is_right, load_modules, take_apart, unwrap
from tests.lab.serving import STARTED_WITHIN_S, Serving
from tests.lab.topology import Server, build_lab

TUNNELS = ("ipip", "gue:6080", "gue:6080,csum", "gue:6080,remcsum", "gre", "gre,csum")
WITH_GRE_CHECKSUMS = 2  # the server that takes gre,csum and not gre
ALONE = frozenset({"director1"})
# Every tunnel from both kinds of VIP to both kinds of backend: a VIP for each.
KINDS = [(tunnel, vip, outer) for tunnel in TUNNELS for vip in (4, 6) for outer in (4, 6)]


def vip_of(tunnel: str, version: int, outer: int) -> str:
    """The VIP that stands for one kind of tunnel."""
    number = 10 + TUNNELS.index(tunnel) * 2 + (outer == 6)
    return str(IPv4Address("10.50.0.0") + number if version == 4 else IPv6Address("2001:db8:50::") + number)


def backends_of(serving: Serving, tunnel: str) -> list[Server]:
    """The servers that take it apart."""
    servers = serving.lab.servers
    return [servers[WITH_GRE_CHECKSUMS]] if tunnel == "gre,csum" else list(servers[:WITH_GRE_CHECKSUMS])


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """One director with a VIP for each kind of tunnel."""
    load_modules()
    with build_lab() as lab:
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services)
        for place, server in enumerate(lab.servers):
            take_apart(server, gre_checksums=place == WITH_GRE_CHECKSUMS)
        lab.serve(*(vip_of(*kind) for kind in KINDS))
        serving.write_all(
            "tunnels",
            [
                {
                    "name": f"{tunnel.replace(':', '-').replace(',', '-')}-{version}-{outer}",
                    "vip": vip_of(tunnel, version, outer),
                    "ports": [80],
                    "tunnel": tunnel,
                    "backends": [
                        str(server.address4 if outer == 4 else server.address6)
                        for server in backends_of(serving, tunnel)
                    ],
                }
                for tunnel, version, outer in KINDS
            ],
        )
        director = lab.directors[0]
        director.ip(f"route add default via {director.link.router4}", f"route add default via {director.link.router6}")
        lab.client.send_single_packets()
        serving.start(director)
        for kind in KINDS:
            serving.wait_for(vip_of(*kind), ALONE, within_s=2 * STARTED_WITHIN_S)
        yield serving


def wrapped(seen: list[tuple[str, bytes]], vip: str) -> list[tuple[bytes, Wrapped]]:
    """The client's packets to ``vip`` as they came to a server's link, each with what is around it."""
    found = [(data, unwrap(data)) for interface, data in seen if interface == "eth0"]
    return [(data, each) for data, each in found if each is not None and each.inner.destination == ip_address(vip)]


@pytest.mark.parametrize(("tunnel", "version", "outer"), KINDS, ids=str)
def test_a_service_is_served_through_the_tunnel_that_it_asks_for(
    serving: Serving, tunnel: str, version: int, outer: int
) -> None:
    lab, vip = serving.lab, vip_of(tunnel, version, outer)
    servers, asked = backends_of(serving, tunnel), parse_tunnel(tunnel)
    with capture_bytes(servers[0]) as seen:
        answers = [lab.client.ask(vip) for _ in range(12)]
    assert {answer.server for answer in answers} == {server.name for server in servers}
    assert {answer.client for answer in answers} == {lab.client.address4 if version == 4 else lab.client.address6}

    packets = wrapped(seen, vip)
    assert {each.kind for _, each in packets} == {asked.type.name.lower()}
    assert {each.destination.version for _, each in packets} == {outer}
    assert max(each.header_bytes for _, each in packets) == asked.header_bytes(outer)
    assert {each.udp_port for _, each in packets} == {asked.port}


@pytest.mark.parametrize(("tunnel", "version", "outer"), KINDS, ids=str)
def test_a_packet_too_large_for_the_tunnel_is_answered_with_what_fits(
    serving: Serving, tunnel: str, version: int, outer: int
) -> None:
    client, vip = serving.lab.client, vip_of(tunnel, version, outer)
    flow = client.open(vip)
    assert flow.ask(fill_bytes=20_000).server in {server.name for server in backends_of(serving, tunnel)}
    flow.close()
    assert client.path_mtu(vip) == 1500 - parse_tunnel(tunnel).header_bytes(outer)


def checked(serving: Serving, tunnel: str, version: int, outer: int) -> list[tuple[bytes, Wrapped]]:
    """The packets of a few requests."""
    vip = vip_of(tunnel, version, outer)
    with capture_bytes(backends_of(serving, tunnel)[0]) as seen:
        serving.lab.client.spread(vip, 12)
    packets = wrapped(seen, vip)
    assert packets
    return packets


VERSIONS = [(version, outer) for version in (4, 6) for outer in (4, 6)]


@pytest.mark.parametrize(("version", "outer"), VERSIONS)
def test_without_csum_there_is_no_outer_checksum(serving: Serving, version: int, outer: int) -> None:
    assert {each.checksum for _, each in checked(serving, "gue:6080", version, outer)} == {0}
    assert {each.checksum for _, each in checked(serving, "gre", version, outer)} == {None}


@pytest.mark.parametrize(("version", "outer"), VERSIONS)
@pytest.mark.parametrize("tunnel", ["gue:6080,csum", "gre,csum"])
def test_with_csum_the_outer_checksum_covers_the_packet(
    serving: Serving, tunnel: str, version: int, outer: int
) -> None:
    packets = checked(serving, tunnel, version, outer)
    assert all(checksum_is_right(data) for data, _ in packets)
    bent = bytearray(packets[0][0])
    bent[-1] ^= 1
    bent[packets[0][1].header_bytes + 1] ^= 1  # so that it does not look right by TCP's own checksum, made anew
    assert not checksum_is_right(bytes(bent))


@pytest.mark.parametrize(("version", "outer"), VERSIONS)
def test_with_remcsum_the_receiver_is_told_where_the_inner_checksum_belongs(
    serving: Serving, version: int, outer: int
) -> None:
    packets = checked(serving, "gue:6080,remcsum", version, outer)
    assert all(each.remote_checksum and each.checksum for _, each in packets)


def test_the_port_that_a_service_names_can_be_changed_while_it_is_served(serving: Serving) -> None:
    """Nothing listens on the other port, so nobody answers until it is changed back."""
    director, vip = serving.lab.directors[0], vip_of("gue:6080", 4, 4)
    servers = backends_of(serving, "gue:6080")
    for server in servers:
        server.run(["ip", "fou", "add", "port", "6081", "gue"])
    text = (serving.services / "tunnels.yaml").read_text()
    changed = text.replace(f'"tunnel": "gue:{GUE_PORT}"', '"tunnel": "gue:6081"', 1)
    assert changed != text
    with serving.no_route_change():
        director.write("changed.yaml", changed).rename(serving.services / "tunnels.yaml")
        serving.await_passes(director, 2)
        with capture_bytes(servers[0]) as seen:
            serving.lab.client.spread(vip, 12)
        assert not wrapped(seen, vip)  # what is read as GUE here goes to the other port
        director.write("changed.yaml", text).rename(serving.services / "tunnels.yaml")
        serving.await_passes(director, 2)
        assert len(serving.lab.client.spread(vip, 12)) == len(servers)
