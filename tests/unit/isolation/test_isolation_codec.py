"""A veth pair, addresses and routes in the kernel's own layout."""

import struct
from ipaddress import ip_address, ip_network

import pytest

from appliance.errors import KernelError
from appliance.isolation import codec
from appliance.isolation.codec import Link
from appliance.netlink.message import attribute

U32 = struct.Struct("=I")
HEAD = struct.pack("=BxHiII", 0, 1, 7, 0x1, 0)


def u32(number: int) -> bytes:
    return U32.pack(number)


def test_a_pair_is_made_in_one_request_with_its_other_end_elsewhere() -> None:
    request = codec.create_request("out", "in", 5, 1400)
    width = "08000400" + "78050000"
    peer = "00" * 16 + "07000300" + "696e0000" + width + "08001c00" + "05000000"
    kind = "09000100" + "7665746800" + "000000"
    data = "30000200" + "2c000100" + peer
    assert (request.type, request.flags) == (16, 0x600)
    assert request.body.hex() == "00" * 16 + "08000300" + "6f757400" + width + "40001200" + kind + data


def test_a_route_says_whose_it_is() -> None:
    request = codec.add_route_request(ip_network("10.50.0.0/24"), ip_address("10.9.0.1"), 3)
    assert (request.type, request.flags) == (24, 0x600)
    ends = "08000500" + "0a090001" + "08000400" + "03000000"
    assert request.body.hex() == "02180000" + "fe710001" + "00000000" + ends + "08000100" + "0a320000"


def test_a_default_route_has_no_destination() -> None:
    request = codec.add_route_request(ip_network("::/0"), ip_address("2001:db8:9::"), 3)
    gateway = "14000500" + "20010db8000900000000000000000000"
    assert request.body.hex() == "0a000000" + "fe710001" + "00000000" + gateway + "08000400" + "03000000"


def test_an_ipv6_address_is_used_at_once() -> None:
    v4 = codec.add_address_request(3, ip_address("10.9.0.1"), ip_network("10.9.0.0/31"))
    v6 = codec.add_address_request(3, ip_address("2001:db8:9::1"), ip_network("2001:db8:9::/127"))
    assert v4.body.hex() == "021f0000" + "03000000" + "08000200" + "0a090001" + "08000100" + "0a090001"
    assert v6.body.endswith(attribute(8, u32(0x02)))


@pytest.mark.parametrize(("v4", "v6", "forwards"), [(0, 0, set()), (1, 0, {4}), (0, 1, {6}), (1, 1, {4, 6})])
def test_a_link_says_what_it_forwards(v4: int, v6: int, forwards: set[int]) -> None:
    settings = attribute(2, attribute(1, u32(v4) + u32(9))) + attribute(10, attribute(2, u32(v6) + u32(64)))
    body = HEAD + attribute(4, u32(1500)) + attribute(18, attribute(1, b"veth\0")) + attribute(26, settings)
    assert codec.decode_link(body) == Link(7, True, "veth", 1500, frozenset(forwards))


def test_hardware_without_ip_forwards_nothing() -> None:
    assert codec.decode_link(HEAD + attribute(4, u32(9000))) == Link(7, True, "", 9000)


def test_a_look_up_says_by_which_link() -> None:
    route = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 3, 0, 1, 0)
    assert codec.decode_way_out(route + attribute(4, u32(12))) == 12
    assert codec.decode_way_out(route) == 0


@pytest.mark.parametrize("decode", [codec.decode_link, codec.decode_way_out])
def test_too_few_bytes_are_an_error_and_no_guess(decode: object) -> None:
    assert callable(decode)
    with pytest.raises(KernelError, match="EBADMSG"):
        decode(b"\0" * 3)
