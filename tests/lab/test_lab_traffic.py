"""Packets in the lab go where they should: over all servers, through a director one way, directly the other."""

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from tests.lab.by_hand import VIP4, VIPS, bring_up
from tests.lab.capture import capture
from tests.lab.topology import SERVERS, Lab, build_lab


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    """A lab that serves both VIPs, for tests that change nothing."""
    with build_lab() as lab:
        bring_up(lab)
        yield lab


@pytest.mark.parametrize("vip", VIPS)
def test_traffic_spreads_over_all_servers(shared: Lab, vip: str) -> None:
    assert set(shared.client.spread(vip, 60)) == set(SERVERS)
    assert shared.client.ask_udp(vip).server in SERVERS


@pytest.mark.parametrize("vip", VIPS)
def test_a_request_passes_a_director_in_the_tunnel_and_its_answer_passes_none(shared: Lab, vip: str) -> None:
    first, second = shared.directors
    with capture(first) as at_first, capture(second) as at_second, capture(shared.client) as at_client:
        shared.client.spread(vip, 20)
    packets = at_first + at_second
    assert any(packet.is_syn and packet.tunnel for packet in packets)
    assert not any(packet.is_syn_ack for packet in packets)
    assert any(packet.is_syn_ack and packet.source == ip_address(vip) for packet in at_client)


@pytest.mark.parametrize("vip", VIPS)
def test_the_client_address_arrives_unchanged(shared: Lab, vip: str) -> None:
    client = shared.client
    address = client.address4 if vip == VIP4 else client.address6
    assert client.ask(vip).client == address
    assert client.ask_udp(vip).client == address
