"""Probes byte by byte, their answers, and the filter as the kernel runs it."""

import socket
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.checks import codec
from appliance.checks.wire import attach
from tests.unit.checks.replies import ACK, RST, SYN, Asked, answer, read

FLOW4 = codec.flow(ip_address("10.0.11.2"), 61000, ip_address("10.50.0.1"), 80)
FLOW6 = codec.flow(ip_address("2001:db8:0:11::2"), 65535, ip_address("2001:db8:50::1"), 443)
SYN4 = """
    45 00 00 28 00 00 40 00 01 06 5a 9c 0a 00 0b 02 0a 32 00 01
    ee 48 00 50 01 02 03 04 00 00 00 00 50 02 04 00 9a 0f 00 00
"""
RST6 = """
    60 00 00 00 00 14 06 01
    20 01 0d b8 00 00 00 11 00 00 00 00 00 00 00 02
    20 01 0d b8 00 50 00 00 00 00 00 00 00 00 00 01
    ff ff 01 bb ff ff ff ff 00 00 00 00 50 04 04 00 4e 50 00 00
"""
PORTS = st.integers(1, 65535)
FLOWS = st.builds(codec.flow, st.ip_addresses(v=4), PORTS, st.ip_addresses(v=4), PORTS) | st.builds(
    codec.flow, st.ip_addresses(v=6), PORTS, st.ip_addresses(v=6), PORTS
)
ASKED4 = Asked(ip_address("10.0.11.2"), 61000, ip_address("10.50.0.1"), 80, 7, SYN)
ASKED6 = Asked(ip_address("2001:db8:0:11::2"), 65535, ip_address("2001:db8:50::1"), 443, 7, SYN)


def summed(data: bytes) -> int:
    """The sum that RFC 1071 describes, word by word: 0xffff over data with a right checksum in it."""
    total = 0
    for place in range(0, len(data), 2):
        total += data[place] << 8 | data[place + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize(
    ("packet", "golden"),
    [
        pytest.param(codec.segment(FLOW4, 0x01020304, codec.SYN), SYN4, id="SYN in IPv4"),
        pytest.param(codec.segment(FLOW6, 0xFFFFFFFF, codec.RST), RST6, id="RST in IPv6"),
    ],
)
def test_a_probe_has_these_bytes(packet: bytes, golden: str) -> None:
    assert packet == bytes.fromhex(golden)


@given(FLOWS, st.integers(0, 2**32 - 1), st.sampled_from([codec.SYN, codec.RST]))
def test_checksums_and_fields_are_right_for_every_flow(flow: codec.Flow, sequence: int, flags: int) -> None:
    packet = codec.segment(flow, sequence, flags)
    head, tcp = packet[:-20], packet[-20:]
    assert summed(flow.source + flow.vip + bytes([0, 6, 0, 20]) + tcp) == 0xFFFF
    if len(head) == 20:
        assert summed(head) == 0xFFFF
    asked = read(packet)
    assert (asked.source.packed, asked.source_port, asked.vip.packed, asked.port) == flow
    assert (asked.sequence, asked.flags) == (sequence, flags)


def test_a_probe_may_not_be_forwarded() -> None:
    """The hop limit of the inner packet: whoever takes it out of the tunnel has to be its destination."""
    assert codec.segment(FLOW4, 1, codec.SYN)[8] == 1
    assert codec.segment(FLOW6, 1, codec.SYN)[7] == 1


@pytest.mark.parametrize("asked", [ASKED4, ASKED6], ids=["IPv4", "IPv6"])
def test_an_answer_names_the_flow_of_its_probe(asked: Asked) -> None:
    accepted, refused = codec.parse(answer(asked)), codec.parse(answer(asked, RST | ACK))
    assert accepted is not None
    assert refused is not None
    flow = codec.flow(asked.source, asked.source_port, asked.vip, asked.port)
    assert (accepted.flow, accepted.acknowledgement, accepted.accepts) == (flow, 8, True)
    assert (refused.flow, refused.acknowledgement, refused.accepts) == (flow, 8, False)


def test_options_in_the_ip_header_are_passed_over() -> None:
    assert codec.parse(answer(ASKED4, options=3)) == codec.parse(answer(ASKED4))


@given(st.binary(max_size=100))
def test_any_bytes_are_an_answer_or_none(packet: bytes) -> None:
    codec.parse(packet)


@given(st.integers(0, 59), st.sampled_from([ASKED4, ASKED6]))
def test_what_is_cut_short_is_no_answer(length: int, asked: Asked) -> None:
    whole = answer(asked)
    assert codec.parse(whole[: min(length, len(whole) - 1)]) is None


@dataclass(frozen=True)
class Passed:
    """Whether the kernel passes a packet through a filter."""

    program: bytes

    def __call__(self, packet: bytes) -> bool:
        """A filter works on every kind of datagram socket; one that leads nowhere will do."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, theirs:
            attach(ours, self.program)
            ours.setblocking(False)
            try:
                theirs.send(packet)
                return bool(ours.recv(2048))
            except (BlockingIOError, PermissionError):  # a unix socket refuses what its receiver filters out
                return False


WITH_PORT = {61000: True, 65535: True, 60999: False, 80: False}


@pytest.mark.parametrize("asked", [ASKED4, ASKED6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("flags", "passes"),
    [
        pytest.param(SYN | ACK, True, id="SYN-ACK"),
        pytest.param(RST | ACK, True, id="RST-ACK"),
        pytest.param(SYN | ACK | 0xC0, True, id="SYN-ACK with ECN flags"),
        pytest.param(SYN, False, id="SYN"),
        pytest.param(ACK, False, id="ACK"),
        pytest.param(RST, False, id="RST"),
        pytest.param(SYN | ACK | RST, False, id="nonsense"),
    ],
)
def test_the_filter_passes_answers_and_nothing_else(asked: Asked, flags: int, passes: bool) -> None:  # noqa: FBT001 - a table's column
    passed = Passed(codec.reply_filter(asked.vip.version, mark=7))
    for port, ours in WITH_PORT.items():
        assert passed(answer(asked._replace(source_port=port), flags)) is (passes and ours)


def test_the_filter_reads_past_ip_options_and_leaves_fragments_and_other_protocols() -> None:
    passed = Passed(codec.reply_filter(4, mark=7))
    whole = answer(ASKED4)
    assert passed(answer(ASKED4, options=10))
    assert not passed(whole[:6] + b"\x20\x05" + whole[8:])
    assert not passed(whole[:9] + b"\x11" + whole[10:])
    assert not passed(b"")
    six = answer(ASKED6)
    assert not Passed(codec.reply_filter(6, mark=7))(six[:6] + b"\x11" + six[7:])


@pytest.mark.parametrize("asked", [ASKED4, ASKED6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("acknowledgement", "passes"),
    [
        pytest.param(0x00000008, True, id="of a probe"),
        pytest.param(0xABCD0008, True, id="of another probe"),
        pytest.param(0x00000009, False, id="of something else"),
        pytest.param(0x00080000, False, id="the mark in the wrong half"),
    ],
)
def test_the_filter_passes_only_answers_to_numbers_with_the_mark(
    asked: Asked,
    acknowledgement: int,
    passes: bool,  # noqa: FBT001 - a table's column
) -> None:
    passed = Passed(codec.reply_filter(asked.vip.version, mark=7))
    assert passed(answer(asked, acknowledgement=acknowledgement)) is passes


def test_what_is_passed_is_cut_behind_the_headers() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        attach(ours, codec.reply_filter(4, mark=7))
        theirs.send(answer(ASKED4, options=10) + bytes(1000))
        assert codec.parse(ours.recv(2048)) == codec.parse(answer(ASKED4))


def test_a_socket_that_only_sends_hears_nothing() -> None:
    assert not Passed(codec.NOTHING)(answer(ASKED4))
