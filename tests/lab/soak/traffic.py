"""Packets through each director, and what leaves it in the tunnel."""

import contextlib
import select
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from tests.lab.capture import ETH_P_ALL, RECEIVE_BUFFER_BYTES, SO_RCVBUFFORCE, parse
from tests.lab.soak.oracle import Broken
from tests.lab.topology import POOL4, POOL6, Director, Lab

SILENT_AFTER_S, GIVEN_UP_AFTER_S = 2.0, 10.0
_TABLES = {"director1": 101, "director2": 102}


def lead(lab: Lab) -> None:
    """Give the client an address for each director, whose packets the router sends by way of that director alone."""
    for director in lab.directors:
        table = _TABLES[director.name]
        four, six = _sources(director)
        lab.client.ip(f"addr add {four}/24 dev eth0", f"addr add {six}/64 dev eth0")
        lab.router.ip(
            f"rule add from {four} to {POOL4} table {table}",
            f"route add {POOL4} via {director.link.host4} table {table}",
            f"route add {POOL6} via {director.link.host6} table {table}",
        )
        lab.router.run(["ip", "-6", "rule", "add", "from", six, "to", POOL6, "table", str(table)])


@dataclass
class Probes:
    """Datagrams by way of each director; each is a flow of its own. Counts ``sent`` and ``answered``."""

    lab: Lab
    backends: Mapping[str, frozenset[str]]
    sent: int = 0
    answered: int = 0
    _open: dict[socket.socket, tuple[str, str, float]] = field(default_factory=dict)
    _asking_since: dict[tuple[str, str], float] = field(default_factory=dict)

    def ask(self, director: Director, vips: Collection[str]) -> None:
        """Send one to each of these VIPs, and none any more to the others."""
        for way in [way for way in self._asking_since if way[0] == director.name and way[1] not in vips]:
            del self._asking_since[way]
        for vip in vips:
            probe = self.lab.client.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET, socket.SOCK_DGRAM)
            probe.setblocking(False)
            probe.bind((_sources(director)[":" in vip], 0))
            with contextlib.suppress(OSError):  # no route now: nobody answers
                probe.connect((vip, 80))
                probe.send(b"who?")
            self.sent += 1
            self._open[probe] = (director.name, vip, time.monotonic())
            self._asking_since.setdefault((director.name, vip), time.monotonic())

    def collect(self, for_s: float) -> None:
        """Take answers for so long, at least those that are there.

        Raises:
            Broken: a server answered that is no backend of the VIP.
        """
        until_s = time.monotonic() + for_s
        while True:
            left_s = max(until_s - time.monotonic(), 0.0)
            readable, _, _ = select.select(list(self._open), [], [], left_s)
            for probe in readable:
                self._take(probe)
            if not readable and not left_s:
                break
        for probe in [probe for probe, (_, _, at_s) in self._open.items() if at_s < until_s - GIVEN_UP_AFTER_S]:
            self._close(probe)

    def silent(self, director: Director) -> frozenset[str]:
        """The VIPs that have been asked by way of this director for a while without any answer."""
        late_s = time.monotonic() - SILENT_AFTER_S
        return frozenset(
            vip for (name, vip), at_s in self._asking_since.items() if name == director.name and at_s < late_s
        )

    def close(self) -> None:
        """Wait for no answer any more, and forget who gave none."""
        for probe in list(self._open):
            self._close(probe)
        self._asking_since.clear()

    def _take(self, probe: socket.socket) -> None:
        name, vip, _ = self._open[probe]
        with contextlib.suppress(OSError):  # an ICMP error is no answer
            server = probe.recv(2048).decode().split()[0]
            self.answered += 1
            self._asking_since[name, vip] = time.monotonic()
            host = next(each for each in self.lab.servers if each.name == server)
            if not {str(host.address4), str(host.address6)} & self.backends[vip]:
                raise Broken(f"{server} answered for {vip} by way of {name}, and is no backend of it")
        self._close(probe)

    def _close(self, probe: socket.socket) -> None:
        del self._open[probe]
        probe.close()


@dataclass
class Tap:
    """Looks at every packet in the tunnel that passes one director."""

    director: Director
    backends: Mapping[str, frozenset[str]]
    seen: int = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Packets count from here on."""
        with self.director.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as self._socket:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
            self._socket.setblocking(False)
            yield

    def check(self) -> None:
        """Look at what has passed since the last time.

        Raises:
            Broken: a packet went to a stranger.
        """
        strangers = [pair for pair in self._packets() if pair[1] not in self.backends.get(pair[0], frozenset())]
        for vip, server in strangers:
            raise Broken(f"{self.director.name} sent a packet for {vip} to {server}, a stranger")

    def _packets(self) -> Iterator[tuple[str, str]]:
        """Of each packet its VIP and the real server that it is for."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data, place = self._socket.recvfrom(65536)
                packet = parse(place[0], data)
                if packet is not None and packet.tunnel is not None:
                    self.seen += 1
                    yield str(packet.destination), str(packet.tunnel[1])


def _sources(director: Director) -> tuple[str, str]:
    number = _TABLES[director.name] % 100
    return f"10.0.1.{10 + number}", str(ip_address(f"2001:db8:0:1::{10 + number}"))
