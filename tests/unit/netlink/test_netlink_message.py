"""Netlink framing over all values, and over bytes that no kernel sends."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import KernelError
from appliance.netlink.message import Request, attribute, attributes, error_number, message, messages

PAYLOADS = st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=8)


@given(PAYLOADS)
def test_attributes_survive_coding_and_decoding(payloads: dict[int, bytes]) -> None:
    assert attributes(b"".join(attribute(kind, payload) for kind, payload in payloads.items())) == payloads


@given(st.lists(PAYLOADS, max_size=5), st.integers(0, 2**32 - 1))
def test_messages_survive_coding_and_decoding(bodies: list[dict[int, bytes]], sequence: int) -> None:
    packed = [b"".join(attribute(kind, payload) for kind, payload in each.items()) for each in bodies]
    datagram = b"".join(message(Request(28, body, 0x200), sequence, 0x5) for body in packed)
    assert [(each.type, each.flags, each.sequence, each.body) for each in messages(datagram)] == [
        (28, 0x205, sequence, body) for body in packed
    ]


def test_the_bits_that_say_how_an_attribute_is_coded_are_no_part_of_its_type() -> None:
    assert attributes(attribute(0x8000 | 0x4000 | 18, b"x")) == {18: b"x"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x04\x00", id="cut within the head"),
        pytest.param(b"\x03\x00\x01\x00", id="shorter than its head"),
        pytest.param(b"\x00\x00\x00\x00" * 3, id="of length nothing, without end"),
        pytest.param(b"\x09\x00\x01\x00abcd", id="longer than what is there"),
    ],
)
def test_an_impossible_length_is_an_error_that_names_the_place(data: bytes) -> None:
    with pytest.raises(KernelError, match="attribute at byte 0: EBADMSG"):
        attributes(data)
    with pytest.raises(KernelError, match="message at byte 0: EBADMSG"):
        list(messages(data.ljust(16, b"\0")[:15]))


@given(st.binary(max_size=100))
def test_bytes_without_sense_are_an_error_of_the_kernel_and_no_other(data: bytes) -> None:
    for decode in (attributes, lambda data: list(messages(data)), error_number):
        try:
            decode(data)
        except KernelError as error:
            assert error.errno == errno.EBADMSG  # noqa: PT017 - a value is as good as this error
