"""Which address stands for a network, and what a route's answer says."""

import errno
import struct
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import KernelError
from appliance.netlink import rtnetlink
from appliance.netlink.message import attribute
from appliance.routes import codec


@pytest.mark.parametrize(
    ("network", "first", "last"),
    [
        ("10.60.0.0/24", "10.60.0.1", "10.60.0.254"),
        ("10.60.0.0/30", "10.60.0.1", "10.60.0.2"),
        ("10.60.0.0/31", "10.60.0.0", "10.60.0.1"),
        ("10.60.0.9/32", "10.60.0.9", "10.60.0.9"),
        ("2001:db8::/64", "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"),
        ("2001:db8::/127", "2001:db8::", "2001:db8::1"),
        ("2001:db8::9/128", "2001:db8::9", "2001:db8::9"),
    ],
)
def test_a_network_is_asked_for_by_its_first_and_last_host(network: str, first: str, last: str) -> None:
    assert codec.first_host(ip_network(network)) == ip_address(first)
    assert codec.last_host(ip_network(network)) == ip_address(last)


ROUTE = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 3, 0, rtnetlink.RTN_UNICAST, 0)
LINK = struct.pack("=BxHiII", 0, 1, 7, 0x1, 0)


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


def test_what_is_asked_is_in_the_kernel_s_own_layout() -> None:
    v4, v6 = codec.lookup_request(ip_address("10.60.0.1")), codec.lookup_request(ip_address("2001:db8::1"))
    assert (v4.type, v4.flags) == (v6.type, v6.flags) == (26, 0)
    assert v4.body.hex() == "022000000000000000000000" + "08000100" + "0a3c0001"
    assert v6.body.hex() == "0a8000000000000000000000" + "14000100" + "20010db8000000000000000000000001"
    link = codec.link_request(7)
    assert (link.type, link.flags, link.body.hex()) == (18, 0, "00000000" + "07000000" + "00000000" * 2)


@pytest.mark.parametrize(("link", "usable"), [(1, False), (2, True)], ids=["into the loopback", "out"])
def test_a_route_says_its_type_and_its_link(link: int, usable: bool) -> None:  # noqa: FBT001 - a column
    route = codec.decode_route(ROUTE + attribute(4, u32(link)))
    assert (route, route.usable) == (codec.Route(rtnetlink.RTN_UNICAST, link), usable)


def test_a_route_says_its_own_mtu_among_its_metrics() -> None:
    """RTAX_HOPLIMIT (10) and RTAX_ADVMSS (8) stand beside RTAX_MTU (2)."""
    metrics = attribute(10, u32(64)) + attribute(2, u32(1400)) + attribute(8, u32(1360))
    body = ROUTE + attribute(4, u32(2)) + attribute(8, metrics)
    assert codec.decode_route(body) == codec.Route(rtnetlink.RTN_UNICAST, 2, 1400)


def link(mtu: int, mtu_v6: int | None = None) -> bytes:
    """A link as the kernel describes it; IPv6 has a table of numbers, of which the third is its MTU."""
    table = (
        b"" if mtu_v6 is None else attribute(10, attribute(1, u32(0)) + attribute(2, u32(1) + u32(64) + u32(mtu_v6)))
    )
    return LINK + attribute(3, b"eth0\0") + attribute(4, u32(mtu)) + attribute(26, table)


@pytest.mark.parametrize(
    ("body", "v4", "v6"),
    [
        pytest.param(link(1500, 1500), 1500, 1500, id="both families alike"),
        pytest.param(link(9000, 1400), 9000, 1400, id="lowered for IPv6 by a router"),
        pytest.param(link(1300, 1500), 1300, 1300, id="the link is the smaller one"),
        pytest.param(link(1500), 1500, 1500, id="nothing said of IPv6"),
    ],
)
def test_a_link_has_an_mtu_for_each_family(body: bytes, v4: int, v6: int) -> None:
    assert (codec.decode_link_mtu(body, 4), codec.decode_link_mtu(body, 6)) == (v4, v6)


def test_a_link_without_an_mtu_is_no_answer() -> None:
    with pytest.raises(KernelError, match="EBADMSG"):
        codec.decode_link_mtu(LINK + attribute(3, b"eth0\0"), 4)


@given(st.binary(max_size=80))
def test_bytes_without_sense_are_a_value_or_an_error_of_the_kernel(data: bytes) -> None:
    try:
        codec.decode_route(data)
        codec.decode_link_mtu(data, 6)
    except KernelError as error:
        assert error.errno == errno.EBADMSG  # noqa: PT017 - a value is as good as this error
