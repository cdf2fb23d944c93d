"""Batches and dumps over a socket that loses, cuts and interrupts at will."""

import errno
import socket
import struct
from collections.abc import Callable
from typing import cast

import pytest

from appliance.errors import KernelError
from appliance.netlink.message import NLM_F_DUMP, NLM_F_DUMP_INTR, Message, Request, message, messages
from appliance.netlink.transport import Answer, NetlinkSocket

Reply = bytes | int
Script = Callable[[list[Message]], list[Reply]]


class ScriptedSocket:
    """A kernel's end: ``script`` turns the messages of a datagram into datagrams, or error numbers, to be received."""

    def __init__(self, script: Script, receive_buffer_bytes: int = 1 << 20) -> None:
        self._script = script
        self._receive_buffer_bytes = receive_buffer_bytes
        self._waiting: list[Reply] = []
        self.batches: list[int] = []
        self.closed = False

    def send(self, data: bytes) -> None:
        asked = list(messages(data))
        self.batches.append(len(asked))
        self._waiting += self._script(asked)

    def recv(self, _size: int, _flags: int = 0) -> bytes:
        reply = self._waiting.pop(0) if self._waiting else errno.EAGAIN
        if isinstance(reply, int):
            raise OSError(reply, "scripted")
        return reply

    def getsockopt(self, *_: int) -> int:
        return self._receive_buffer_bytes

    def close(self) -> None:
        self.closed = True


def packed(kind: int, sequence: int, body: bytes, flags: int = 0) -> bytes:
    return message(Request(kind, body), sequence, flags)


def ack(asked: Message, error: int = 0) -> bytes:
    return packed(2, asked.sequence, struct.pack("=i", -error))


def end(asked: Message) -> bytes:
    return packed(3, asked.sequence, bytes(4))


def netlink(*sockets: ScriptedSocket) -> NetlinkSocket:
    spare = list(sockets)
    return NetlinkSocket(0, lambda _protocol: cast("socket.socket", spare.pop(0)))


REQUESTS = [Request(28, struct.pack("=I", place)) for place in range(10)]


def place_of(asked: Message) -> int:
    return int(struct.unpack("=I", asked.body)[0])


def test_each_error_is_put_down_to_its_own_request_whatever_the_order_of_the_answers() -> None:
    fake = ScriptedSocket(lambda asked: [ack(each, place_of(each)) for each in reversed(asked)])
    assert [answer.errno for answer in netlink(fake).transact(REQUESTS)] == list(range(10))


def test_replies_come_before_their_acknowledgement_and_stay_with_their_request() -> None:
    def script(asked: list[Message]) -> list[Reply]:
        return [part for each in asked for part in (packed(28, each.sequence, each.body), ack(each))]

    answers = netlink(ScriptedSocket(script)).transact(REQUESTS)
    assert answers == tuple(Answer(0, (request.body,)) for request in REQUESTS)


def test_a_batch_is_no_larger_than_the_answers_that_the_receive_buffer_takes() -> None:
    fake = ScriptedSocket(lambda asked: [ack(each) for each in asked], receive_buffer_bytes=3 * 2048)
    assert len(netlink(fake).transact(REQUESTS)) == 10
    assert fake.batches == [3, 3, 3, 1]


def test_a_batch_is_no_larger_than_a_datagram_may_be() -> None:
    fake = ScriptedSocket(lambda asked: [ack(each) for each in asked])
    assert len(netlink(fake).transact([Request(28, bytes(30_000))] * 5)) == 5
    assert fake.batches == [2, 2, 1]


def test_a_lost_answer_is_said_to_be_lost_and_costs_no_other() -> None:
    """ENOBUFS on reading: the kernel dropped something, what it kept still counts."""
    fake = ScriptedSocket(lambda asked: [ack(asked[0]), errno.ENOBUFS, *[ack(each) for each in asked[2:]]])
    answers = [answer.errno for answer in netlink(fake).transact(REQUESTS)]
    assert answers == [0, errno.ENOBUFS, *[0] * 8]


def test_answers_to_somebody_else_are_passed_over() -> None:
    fake = ScriptedSocket(lambda asked: [packed(2, 99_999, struct.pack("=i", -1)), *[ack(each) for each in asked]])
    assert {answer.errno for answer in netlink(fake).transact(REQUESTS)} == {0}


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.ENOMEM])
def test_a_kernel_without_memory_for_the_datagram_loses_all_answers(number: int) -> None:
    def script(_asked: list[Message]) -> list[Reply]:
        raise OSError(number, "scripted")

    assert {answer.errno for answer in netlink(ScriptedSocket(script)).transact(REQUESTS)} == {errno.ENOBUFS}


def test_a_socket_that_takes_nothing_is_an_error() -> None:
    def script(_asked: list[Message]) -> list[Reply]:
        raise OSError(errno.EBADF, "scripted")

    with pytest.raises(KernelError, match="send 10 netlink requests: EBADF"):
        netlink(ScriptedSocket(script)).transact(REQUESTS)


def table(asked: list[Message]) -> list[Reply]:
    (only,) = asked
    assert only.flags & NLM_F_DUMP == NLM_F_DUMP
    rows = [packed(28, only.sequence, bytes([row] * 4)) for row in range(3)]
    return [rows[0] + rows[1], rows[2], end(only)]


def broken(kind: str) -> Script:
    def script(asked: list[Message]) -> list[Reply]:
        first, second, done = table(asked)
        assert isinstance(first, bytes)
        match kind:
            case "overrun":
                return [first, errno.ENOBUFS, second, done]
            case "interrupted":
                return [first, packed(28, asked[0].sequence, bytes(4), NLM_F_DUMP_INTR), done]
            case "no end":
                return [first, second]
            case "busy":
                return [ack(asked[0], errno.EBUSY)]
            case _:
                return [packed(3, asked[0].sequence, struct.pack("=i", -errno.ENOMEM))]

    return script


ROWS = [bytes([row] * 4) for row in range(3)]
KINDS = ["overrun", "interrupted", "no end", "busy", "ended with an error"]


def test_a_table_is_read_whole() -> None:
    assert netlink(ScriptedSocket(table)).dump(REQUESTS[0], "things") == ROWS


@pytest.mark.parametrize("kind", KINDS)
def test_a_reading_that_is_not_whole_is_made_again_on_a_fresh_socket(kind: str) -> None:
    first, second, third = ScriptedSocket(broken(kind)), ScriptedSocket(broken(kind)), ScriptedSocket(table)
    assert netlink(first, second, third).dump(REQUESTS[0], "things") == ROWS
    assert (first.closed, second.closed, third.closed) == (True, True, False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reading_that_is_never_whole_is_an_error_and_no_half_table(kind: str) -> None:
    with pytest.raises(KernelError, match="list things: E"):
        netlink(*[ScriptedSocket(broken(kind)) for _ in range(4)]).dump(REQUESTS[0], "things")


def test_a_refused_reading_is_not_repeated_and_says_what_is_missing() -> None:
    refusing = [ScriptedSocket(lambda asked: [ack(asked[0], errno.EPERM)]) for _ in range(2)]
    with pytest.raises(KernelError, match=r"EPERM.*CAP_NET_ADMIN"):
        netlink(*refusing).dump(REQUESTS[0], "things")
    assert refusing[1].batches == []


def test_bytes_without_sense_are_an_error() -> None:
    with pytest.raises(KernelError, match="EBADMSG"):
        netlink(ScriptedSocket(lambda _asked: [b"nonsense"])).dump(REQUESTS[0], "things")
    with pytest.raises(KernelError, match="EBADMSG"):
        netlink(ScriptedSocket(lambda _asked: [b"nonsense"])).transact(REQUESTS)
