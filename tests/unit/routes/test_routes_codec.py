"""Which address stands for a network, and what a route's answer says."""

import errno
import struct
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import KernelError
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


@pytest.mark.parametrize(("link", "loopback"), [(1, True), (2, False)])
def test_a_route_says_its_type_and_whether_it_leads_home(link: int, loopback: bool) -> None:  # noqa: FBT001 - a column
    body = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 3, 0, codec.RTN_UNICAST, 0) + attribute(
        4, struct.pack("=I", link)
    )
    assert codec.decode_route(body) == (codec.RTN_UNICAST, loopback)


@given(st.binary(max_size=80))
def test_bytes_without_sense_are_a_value_or_an_error_of_the_kernel(data: bytes) -> None:
    try:
        codec.decode_route(data)
    except KernelError as error:
        assert error.errno == errno.EBADMSG  # noqa: PT017 - a value is as good as this error
