"""BIRD's control protocol, as bytes."""

import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bird.replies import (
    Line,
    Reply,
    ReplyParser,
    Session,
    Version,
    parse_protocols,
    parse_routes,
    parse_status,
)
from appliance.errors import BirdError, BirdUnexpected

STATUS = b"1000-BIRD 3.1.8\n1011-Router ID is 10.0.0.11\n Hostname is lb1\n0013 Daemon is up and running\n"
ROUTES = (
    b"1007-Table master4:\n 10.50.0.1/32         blackhole [balanced_vips4 12:14:39.381] * (200)\n"
    b"                      blackhole [operator 12:14:39.381] (200)\n \tvia 10.0.0.1 on eth0\n"
    b" 10.50.0.2/32         blackhole [balanced_vips4 2026-01-01] * (200)\n0000 \n"
)
PROTOCOLS = (
    b"2002-Name       Proto      Table      State  Since         Info\n"
    b"1002-balanced_vips4 Static     master4    up     12:14:39.381  \n"
    b"1006-  Channel ipv4\n     State:          UP\n \n"
    b"1002-balanced_vips6 Static     master6    down   12:14:39.381  \n1006-  Message:        balanced: withdrawn\n"
    b"   Channel ipv6\n     State:          DOWN\n \n"
    b"1002-balanced_tor1 BGP        ---        up     12:14:40.174  Established   \n"
    b"1006-  BGP state:          Established\n   Channel ipv4\n     State:          UP\n"
    b"     Import state:   UP\n   Channel ipv6\n     State:          DOWN\n     Export state:   UP\n \n"
    b"1002-odd-name.x BGP        ---        start  12:14:39.381  Active        Socket: Connection refused\n"
    b" second     BGP        ---        down   23rd of May 12:14  Error: No listening socket\n0000 \n"
)


def parse(data: bytes) -> Reply:
    (reply,) = ReplyParser().feed(data)
    return reply


def test_a_continued_line_has_the_code_of_the_line_before() -> None:
    reply = parse(STATUS)
    assert reply.lines[2] == Line(1011, "Hostname is lb1")
    assert (reply.code, reply.text, reply.failed) == (13, "Daemon is up and running", False)


def test_an_asynchronous_line_belongs_to_no_reply() -> None:
    assert parse(b"+Config timeout expired, starting undo\n0003-Daemon is up\n+Reconfigured\n0000 \n") == parse(
        b"0003-Daemon is up\n0000 \n"
    )


def test_a_reply_is_complete_only_with_its_last_byte() -> None:
    parser = ReplyParser()
    assert parser.feed(b"0002-Reading configuration\n8002 bird.conf:1:4") == []
    (reply,) = parser.feed(b"6 syntax error\n")
    assert (reply.failed, reply.codes, reply.text) == (True, frozenset({2, 8002}), "bird.conf:1:46 syntax error")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"hello\n", id="no code"),
        pytest.param(b" 10.50.0.1/32 blackhole\n", id="a continuation of nothing"),
        pytest.param(b"0003\n", id="no separator"),
        pytest.param("٠٠٠٣ done\n".encode(), id="digits that are not ASCII"),
        pytest.param(b"1" * 70_000, id="a line without end"),
    ],
)
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    with pytest.raises(BirdUnexpected, match="is it BIRD"):
        ReplyParser().feed(data)


@given(st.lists(st.sampled_from([STATUS, ROUTES, PROTOCOLS, b"+Undo\n", b"9001 No valid tables\n"])), st.data())
def test_any_split_of_the_stream_gives_the_same_replies(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    parser = ReplyParser()
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [reply for piece in pieces for reply in parser.feed(piece)] == ReplyParser().feed(stream)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.sampled_from([*ROUTES.split(b"\n"), *PROTOCOLS.split(b"\n"), b"0000 ", b"1007-x/32", b"1002-"]),
        )
    )
)
def test_any_bytes_give_a_value_or_an_error_of_ours(lines: list[bytes]) -> None:
    with contextlib.suppress(BirdError):
        for reply in ReplyParser().feed(b"\n".join(lines) + b"\n"):
            for parser in (parse_status, parse_protocols, parse_routes):
                with contextlib.suppress(BirdError):
                    parser(reply)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param(b"BIRD 2.0.12", Version("2.0.12", 2), id="Debian 12"),
        pytest.param(b"BIRD 2.17.6", Version("2.17.6", 2), id="Debian 13, bird2"),
        pytest.param(b"BIRD 3.1.8", Version("3.1.8", 3), id="Debian 13, bird3"),
        pytest.param(b"BIRD 3.2-dev.17", Version("3.2-dev.17", 3), id="a build of one's own"),
    ],
)
def test_the_status_tells_version_and_dialect(text: bytes, version: Version) -> None:
    assert parse_status(parse(b"1000-" + text + b"\n0013 Daemon is up and running\n")) == version


def test_a_status_without_a_version_is_refused() -> None:
    with pytest.raises(BirdUnexpected, match="does not tell its version"):
        parse_status(parse(b"0013 Daemon is up and running\n"))


def test_protocols_are_read_whatever_the_time_looks_like() -> None:
    assert parse_protocols(parse(PROTOCOLS)) == (
        Session("balanced_vips4", "Static", up=True, state="up", families=frozenset({4})),
        Session("balanced_vips6", "Static", up=False, state="down", message="balanced: withdrawn"),
        Session("balanced_tor1", "BGP", up=True, state="Established", families=frozenset({4})),
        Session("odd-name.x", "BGP", up=False, state="Active"),
        Session("second", "BGP", up=False, state="down"),
    )


def test_routes_are_the_prefixes_and_not_their_further_paths() -> None:
    assert parse_routes(parse(ROUTES)) == {ip_address("10.50.0.1"), ip_address("10.50.0.2")}
    assert parse_routes(parse(b"0000 \n")) == frozenset()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"1007-10.50.0.0/24 blackhole\n0000 \n", "10.50.0.0/24 in a protocol of ours", id="a network"),
        pytest.param(b"1007-10.50.0.1 blackhole\n0000 \n", "10.50.0.1 in a protocol of ours", id="no prefix length"),
        pytest.param(b"1007-ten/32 blackhole\n0000 \n", "'ten/32'", id="no prefix"),
        pytest.param(b"1008-10.50.0.1/32 blackhole\n0000 \n", "1008 where a list", id="another kind of line"),
        pytest.param(b"8001 Network not found\n", "ended a list with 8001", id="an error"),
    ],
)
def test_a_list_of_routes_with_anything_else_in_it_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(BirdUnexpected, match=said):
        parse_routes(parse(data))


def test_a_protocol_with_too_few_columns_is_refused() -> None:
    with pytest.raises(BirdUnexpected, match="too few columns"):
        parse_protocols(parse(b"1002-balanced_tor1 BGP\n0000 \n"))
