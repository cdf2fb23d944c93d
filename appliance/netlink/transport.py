"""A netlink socket that sends many requests in one datagram and reads tables whole.

The standard library's socket is used bare: a director programs tens of thousands of objects at once, and one datagram
with hundreds of messages costs a fraction of as many calls of a netlink library.
"""

import errno
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

from appliance.errors import KernelError
from appliance.netlink.message import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Request,
    acknowledged,
    error_number,
    message,
    messages,
)

NETLINK_ROUTE = 0
NETLINK_GENERIC = 16

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_GET_STRICT_CHK = 12
_SO_RCVBUFFORCE = 33

_RECEIVE_BUFFER_BYTES = 1 << 20
_DATAGRAM_BYTES = 1 << 16
"""Most that is sent at once: well under the default send buffer (212,992 bytes), above which the kernel refuses."""
_ANSWER_BYTES = 2048
"""What one answer is reckoned to take of the receive buffer: an ACK of 36 bytes is charged with 700 to 1,300."""
_READ_TIMEOUT_S = 2
_TIMEVAL = struct.Struct("@ll")
_READ_BYTES = 1 << 15
"""The kernel fills dump datagrams up to the size of the reader's buffer, 32 KiB at most (af_netlink.c)."""
_DUMP_ATTEMPTS = 3
_TRANSIENT = frozenset({errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBUSY})


class Answer(NamedTuple):
    """How the kernel answered one request.

    ``errno`` is positive, 0 for success; ENOBUFS also says that the answer was lost, so that nobody knows.
    """

    errno: int
    replies: tuple[bytes, ...] = ()


_DONE = Answer(0)
_LOST = Answer(errno.ENOBUFS)


def open_socket(protocol: int) -> socket.socket:
    """A bound netlink socket, ready for batches.

    Raises:
        KernelError: the kernel gives none.
    """
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    except OSError as error:
        raise KernelError("open", "netlink socket", error.errno or errno.EIO) from error
    try:
        opened.bind((0, 0))
        opened.connect((0, 0))
        # The kernel answers while it is asked; this only keeps a reading that lost its end from waiting for ever.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(_READ_TIMEOUT_S, 0))
        # An error answer would otherwise carry the whole request back.
        opened.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        # Only then does the kernel apply the filter that a dump request holds (rtnetlink; others take no notice).
        opened.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        try:
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
        except PermissionError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    except OSError as error:
        opened.close()
        raise KernelError("prepare", "netlink socket", error.errno or errno.EIO) from error
    return opened


class NetlinkSocket:
    """A netlink socket in the network namespace in which it is made. Not for use by two threads at once.

    ``opener`` makes the socket, and a fresh one after a reading that failed.

    Raises:
        KernelError: the socket cannot be opened.
    """

    def __init__(self, protocol: int, opener: Callable[[int], socket.socket] = open_socket) -> None:
        self._protocol = protocol
        self._opener = opener
        self._sequence = 0
        self._socket = opener(protocol)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket back; a second call does nothing."""
        self._socket.close()

    def transact(self, requests: Sequence[Request]) -> tuple[Answer, ...]:
        """Have the kernel carry out ``requests`` in their order, each whatever became of those before it.

        Returns one answer per request. The kernel works while the datagram is being sent, so whatever it has to say
        waits in the receive buffer afterwards; batches are so small that it fits.

        Raises:
            KernelError: the socket does not take requests at all.
        """
        answers: list[Answer] = []
        for batch in self._batches(requests):
            answers.extend(self._exchange(batch))
        return tuple(answers)

    def dump(self, request: Request, what: str) -> list[bytes]:
        """The bodies of a whole table.

        A reading that was interrupted by a change, or overran the receive buffer, is made again on a new socket, three
        times in all; what is returned is one complete reading.

        Raises:
            KernelError: the kernel refused, or no reading was complete. ``what`` names the table in words.
        """
        failure = 0
        for _ in range(_DUMP_ATTEMPTS):
            try:
                bodies, failure = self._read_table(request)
            except OSError as error:
                bodies, failure = [], error.errno or errno.EIO
            if not failure:
                return bodies
            # What is left of an aborted dump would be taken for the next one's, so it goes with its socket.
            self._socket.close()
            self._socket = self._opener(self._protocol)
            if failure not in _TRANSIENT:
                break
        hint = "run it as root or give it CAP_NET_ADMIN" if failure == errno.EPERM else ""
        raise KernelError("list", what, failure, hint=hint)

    def _batches(self, requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
        most = max(1, self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // _ANSWER_BYTES)
        start = size = 0
        for index, request in enumerate(requests):
            length = len(request.body) + 16
            if index - start == most or (size and size + length > _DATAGRAM_BYTES):
                yield requests[start:index]
                start, size = index, 0
            size += length
        if start < len(requests):
            yield requests[start:]

    def _exchange(self, batch: Sequence[Request]) -> list[Answer]:
        first = self._sequence + 1
        self._sequence += len(batch)
        flags = NLM_F_REQUEST | NLM_F_ACK
        answers = [_LOST] * len(batch)
        try:
            self._socket.send(b"".join(message(request, first + index, flags) for index, request in enumerate(batch)))
        except OSError as error:
            if error.errno in _TRANSIENT:
                return answers
            raise KernelError("send", f"{len(batch)} netlink requests", error.errno or errno.EIO) from error
        replies: dict[int, list[bytes]] = {}
        missing = len(batch)
        while missing:
            try:
                datagram = self._socket.recv(_READ_BYTES, socket.MSG_DONTWAIT)
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    continue  # said once: something was dropped; what was kept can still be read
                break
            sequence = acknowledged(datagram)
            if sequence is not None and 0 <= sequence - first < len(batch):
                index = sequence - first
                answers[index] = Answer(0, tuple(replies.pop(index))) if index in replies else _DONE
                missing -= 1
                continue
            for kind, _flags, sequence, body in messages(datagram):
                index = sequence - first
                if not 0 <= index < len(batch):
                    continue
                if kind == NLMSG_ERROR:
                    answers[index] = Answer(error_number(body), tuple(replies.pop(index, ())))
                    missing -= 1
                else:
                    replies.setdefault(index, []).append(body)
        return answers

    def _read_table(self, request: Request) -> tuple[list[bytes], int]:
        """The bodies so far and 0 or the error that ended them."""
        self._sequence += 1
        expected = self._sequence
        self._socket.send(message(request, expected, NLM_F_REQUEST | NLM_F_DUMP))
        bodies: list[bytes] = []
        interrupted = 0
        while True:
            for kind, flags, sequence, body in messages(self._socket.recv(_READ_BYTES)):
                if sequence != expected:
                    continue
                interrupted |= flags & NLM_F_DUMP_INTR
                if kind == NLMSG_ERROR:
                    return bodies, error_number(body)
                if kind == NLMSG_DONE:
                    return bodies, errno.EINTR if interrupted else error_number(body)
                bodies.append(body)
