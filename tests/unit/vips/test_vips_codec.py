"""Links and addresses: what counts as a VIP on our link, what the answers mean, and bytes that no kernel sends."""

import errno
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import KernelError
from appliance.model.address import Address
from appliance.model.plan import AddAddress, AddressStep, EnsureLink, Outcome, RemoveAddress
from appliance.netlink.message import attribute
from appliance.vips import codec
from appliance.vips.outcome import outcome

LINK = 7
V4, V6 = ip_address("10.50.0.1"), ip_address("2001:db8::50")


def address_body(address: Address, *, prefix: int | None = None, link: int = LINK, flags: int = 0) -> bytes:
    family = 2 if address.version == 4 else 10
    head = struct.pack("=BBBBI", family, address.max_prefixlen if prefix is None else prefix, 0, 0, link)
    return head + attribute(1, address.packed) + attribute(8, struct.pack("=I", flags))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(address_body(V4), V4, id="IPv4 host"),
        pytest.param(address_body(V6), V6, id="IPv6 host"),
        pytest.param(address_body(V6, flags=0x22), V6, id="IPv6 host, no duplicate detection, deprecated"),
        pytest.param(address_body(V4, prefix=24), None, id="a network"),
        pytest.param(address_body(V4, link=8), None, id="another link"),
        pytest.param(address_body(V6, flags=0x40), None, id="still tentative"),
        pytest.param(address_body(V6, flags=0x08), None, id="duplicate found"),
    ],
)
def test_only_usable_one_host_addresses_of_our_link_count(body: bytes, expected: Address | None) -> None:
    assert codec.decode_address(body, LINK) == expected


@pytest.mark.parametrize(("flags", "up"), [(0x1, True), (0x1043, True), (0x82, False)])
def test_a_link_is_up_when_its_flag_says_so(flags: int, up: bool) -> None:  # noqa: FBT001 - a column of the table
    kind = attribute(18, attribute(1, b"dummy\0"))
    assert codec.decode_link(struct.pack("=BxHiII", 0, 1, LINK, flags, 0) + kind) == codec.Link(LINK, up, "dummy")


def test_hardware_has_no_kind() -> None:
    assert codec.decode_link(struct.pack("=BxHiII", 0, 1, 2, 1, 0)) == codec.Link(2, True, "")


@given(st.binary(max_size=120))
def test_bytes_without_sense_are_a_value_or_an_error_of_the_kernel(data: bytes) -> None:
    for decode in (codec.decode_link, lambda data: codec.decode_address(data, LINK)):
        try:
            decode(data)
        except KernelError as error:
            assert error.errno == errno.EBADMSG  # noqa: PT017 - a value is as good as this error


ADD, REMOVE, ENSURE = AddAddress(V4), RemoveAddress(V4), EnsureLink()


@pytest.mark.parametrize(
    ("step", "number", "expected"),
    [
        pytest.param(ADD, 0, Outcome.DONE, id="added"),
        pytest.param(ADD, errno.EEXIST, Outcome.ALREADY, id="there already"),
        pytest.param(ADD, errno.ENODEV, Outcome.RETRY, id="link taken away"),
        pytest.param(ADD, errno.ENOBUFS, Outcome.RETRY, id="no memory"),
        pytest.param(ADD, errno.EADDRNOTAVAIL, Outcome.FATAL, id="no such address can be added"),
        pytest.param(REMOVE, errno.EADDRNOTAVAIL, Outcome.ALREADY, id="gone already"),
        pytest.param(REMOVE, errno.ENODEV, Outcome.ALREADY, id="gone with its link"),
        pytest.param(REMOVE, errno.EPERM, Outcome.FATAL, id="not allowed"),
        pytest.param(ENSURE, errno.EEXIST, Outcome.FATAL, id="the name is taken"),
        pytest.param(ENSURE, errno.EOPNOTSUPP, Outcome.FATAL, id="no dummy in this kernel"),
    ],
)
def test_an_answer_means(step: AddressStep, number: int, expected: Outcome) -> None:
    assert outcome(step, number) is expected
