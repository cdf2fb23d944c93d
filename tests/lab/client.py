"""The client of the lab, and what it gets for an answer."""

import http.client
import itertools
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from tests.lab.plan import ANSWER_WITHIN_S, Address, Station


@dataclass(frozen=True, slots=True)
class Answer:
    """What a real server said: its name, and the client's address as it arrived there."""

    server: str
    client: Address


@dataclass(eq=False)
class Flow:
    """One TCP connection of the client that stays open; each ``ask`` is one more request on it."""

    connection: http.client.HTTPConnection

    def ask(self, fill_bytes: int = 0) -> Answer:
        """Send a request, with so many bytes that mean nothing, and return the answer.

        Raises:
            OSError: the connection is broken or silent.
        """
        self.connection.request("GET", "/", headers={"X-Fill": "x" * fill_bytes} if fill_bytes else {})
        with self.connection.getresponse() as response:
            return Answer(response.read().decode().strip(), ip_address(response.headers["X-Client"]))

    def ask_at_once(self, requests: int) -> None:
        """Send so many requests in a few packets, and wait for all answers, which fill many.

        Raises:
            OSError: the connection is broken or silent.
        """
        self.connection.sock.sendall(b"\r\n\r\n" * requests)
        answers = b""
        while answers.count(b"HTTP/1.1 200 OK") < requests:
            data = self.connection.sock.recv(65536)
            if not data:
                raise ConnectionResetError("closed before everything was answered")
            answers += data

    def close(self) -> None:
        self.connection.close()


@dataclass
class Client(Station):
    """Where requests come from. Source ports count up, so that every request is a new flow for ECMP and mh."""

    _ports: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(20000, 60000)), repr=False)

    def open(self, vip: Address | str, port: int = 80, source_port: int | None = None) -> Flow:
        """Open a TCP connection to the VIP and keep it.

        Raises:
            OSError: nobody answers within ANSWER_WITHIN_S, or somebody refuses.
        """
        tcp = self._bound(vip, socket.SOCK_STREAM, source_port)
        try:
            tcp.connect((str(vip), port))
        except OSError:
            tcp.close()
            raise
        connection = http.client.HTTPConnection(str(vip), port)
        connection.sock = tcp
        connection.auto_open = 0  # a broken flow must not silently become a new one
        return Flow(connection)

    def ask(self, vip: Address | str, port: int = 80, source_port: int | None = None) -> Answer:
        """One HTTP request on a connection of its own."""
        flow = self.open(vip, port, source_port)
        try:
            return flow.ask()
        finally:
            flow.close()

    def get(self, vip: Address | str, port: int = 80, source_port: int | None = None) -> str:
        """The name of the server that answers one HTTP request."""
        return self.ask(vip, port, source_port).server

    def ask_udp(self, vip: Address | str, port: int = 80, source_port: int | None = None) -> Answer:
        """One datagram and its answer, which must come from the VIP (the socket is connected)."""
        with self._bound(vip, socket.SOCK_DGRAM, source_port) as udp:
            udp.connect((str(vip), port))
            udp.send(b"who?")
            server, client = udp.recv(2048).decode().split()
            return Answer(server, ip_address(client))

    def spread(self, vip: Address | str, requests: int, port: int = 80) -> Counter[str]:
        """How many of so many HTTP requests each server answered."""
        return Counter(self.get(vip, port) for _ in range(requests))

    def path_mtu(self, vip: Address | str) -> int:
        """What the client was told of the largest packet to the VIP in bytes; 1500 where nobody told it anything."""
        (route,) = self.ip_json("route", "get", str(vip))
        return max((int(each["mtu"]) for each in route.get("metrics", []) if "mtu" in each), default=1500)

    def _bound(self, vip: Address | str, kind: socket.SocketKind, source_port: int | None) -> socket.socket:
        family = socket.AF_INET if ip_address(str(vip)).version == 4 else socket.AF_INET6
        bound = self.socket(family, kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.settimeout(ANSWER_WITHIN_S)
        bound.bind(("", source_port or next(self._ports)))
        return bound
