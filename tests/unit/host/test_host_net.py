"""What netlink says of addresses and hardware, from its bytes."""

import struct
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import KernelError
from appliance.host.net import decode_lro, decode_own_address
from appliance.model.host import OwnAddress
from appliance.netlink.message import attribute

NAMES = {2: "eth0"}
BIT, BIT_NAME, BITS, ACTIVE = 1, 2, 3, 4


def an_address(text: str, prefix: int, link: int = 2, *, peer: str = "") -> bytes:
    """The body of a message with an address; ``peer`` is the other end of a link between two."""
    address = ip_address(text)
    head = struct.pack("=BBBBI", 2 if address.version == 4 else 10, prefix, 0, 0, link)
    if peer:
        return head + attribute(1, ip_address(peer).packed) + attribute(2, address.packed)
    return head + attribute(1, address.packed)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            an_address("192.0.2.7", 24),
            OwnAddress(ip_address("192.0.2.7"), ip_network("192.0.2.0/24"), "eth0"),
            id="IPv4",
        ),
        pytest.param(
            an_address("2001:db8::7", 64, 9),
            OwnAddress(ip_address("2001:db8::7"), ip_network("2001:db8::/64"), "link 9"),
            id="IPv6, on a link that has just gone",
        ),
        pytest.param(
            an_address("192.0.2.7", 32, peer="192.0.2.8"),
            OwnAddress(ip_address("192.0.2.7"), ip_network("192.0.2.7/32"), "eth0"),
            id="ours, not the other end's",
        ),
        pytest.param(an_address("127.0.0.1", 8, 1), None, id="loopback"),
        pytest.param(an_address("fe80::1", 64), None, id="link-local"),
    ],
)
def test_an_address_is_read_with_its_network_and_link(body: bytes, expected: OwnAddress | None) -> None:
    assert decode_own_address(body, NAMES) == expected


def features(*active: str) -> bytes:
    """An answer to FEATURES_GET with these among the active ones."""
    bits = b"".join(attribute(BIT, attribute(BIT_NAME, name.encode() + b"\0")) for name in active)
    hardware = attribute(2, attribute(BITS, attribute(BIT, attribute(BIT_NAME, b"rx-lro\0"))))
    return bytes(4) + hardware + attribute(ACTIVE, attribute(BITS, bits))


def test_lro_counts_where_it_is_active_and_not_where_it_could_be() -> None:
    assert decode_lro(features("rx-gro", "rx-lro", "tx-tcp-segmentation"))
    assert not decode_lro(features("rx-gro", "rx-gro-hw"))
    assert not decode_lro(bytes(4))


@given(st.binary(max_size=60))
def test_bytes_that_no_kernel_sends_are_an_error_with_a_name(body: bytes) -> None:
    for decode in (decode_lro, lambda data: decode_own_address(data, NAMES)):
        try:
            decode(body)
        except KernelError:
            continue
