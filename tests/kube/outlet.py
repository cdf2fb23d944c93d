"""How the double's answers reach a client, and how a fault cuts them."""

import contextlib
import select
import socket
import struct
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.kube.faults import Drops, Fault, Stalls, Truncates

RESET = struct.pack("ii", 1, 0)
"""struct linger of socket(7): on, for 0 s. Such a socket is closed with a reset."""

LOOK_S = 0.05
"""How often somebody who waits looks whether the connection still stands."""


class Cut(ConnectionError):
    """This connection is over."""


class Line:
    """A client's connection, which other threads may cut, and the switch that silences all of them."""

    def __init__(self, connection: socket.socket, speaking: threading.Event) -> None:
        self.cut = threading.Event()
        self._connection = connection
        self._speaking = speaking

    def reset(self) -> None:
        """Cut it: whoever reads from it or waits for it stops, and it is closed with a reset."""
        self.cut.set()
        with contextlib.suppress(OSError):
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            # Not the method of a TLS socket, which would take the encryption from under whoever uses it.
            socket.socket.shutdown(self._connection, socket.SHUT_RD)

    def wait_to_speak(self) -> None:
        """Wait while the server is silent.

        Raises:
            Cut: it is cut.
        """
        while not self._speaking.wait(LOOK_S):
            self.check()
        self.check()

    def check(self) -> None:
        """Go on only if it stands.

        Raises:
            Cut: it is cut.
        """
        if self.cut.is_set():
            raise Cut

    def stall(self) -> None:
        """Wait until it is cut, or the client goes.

        Raises:
            Cut: always, at last.
        """
        while not self.cut.wait(LOOK_S) and not self.is_deserted():
            pass
        raise Cut

    def is_deserted(self) -> bool:
        """Whether the client of a watch has gone: it has nothing to say, so all there is to read is the end."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return bool(poll.poll(0))


class Outlet:
    """One answer on its way, in chunks; a fault may end it after so many bytes of its body."""

    def __init__(self, handler: BaseHTTPRequestHandler, line: Line, fault: Fault | None) -> None:
        self._handler = handler
        self._line = line
        self._fault = fault
        self._left = fault.after_bytes if isinstance(fault, Drops | Stalls | Truncates) else None

    def begin(self, status: HTTPStatus | int, headers: dict[str, str]) -> None:
        """The status line and the headers."""
        self._line.wait_to_speak()
        if self._left is None and isinstance(self._fault, Drops | Stalls):
            self._end_early()
        self._handler.send_response(status)
        for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def write(self, body: bytes) -> None:
        """A part of the body.

        Raises:
            Cut: the fault's time has come.
        """
        self._line.wait_to_speak()
        if self._left is not None:
            allowed, self._left = body[: self._left], self._left - len(body)
            if self._left < 0:
                self._chunk(allowed)
                self._end_early()
        self._chunk(body)

    def end(self) -> None:
        """The end of the body."""
        self._line.wait_to_speak()
        self._handler.wfile.write(b"0\r\n\r\n")

    def _chunk(self, body: bytes) -> None:
        if body:
            self._handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))

    def _end_early(self) -> Any:
        if isinstance(self._fault, Stalls):
            self._line.stall()
        if isinstance(self._fault, Truncates):
            self.end()
        else:
            self._line.reset()
        raise Cut
