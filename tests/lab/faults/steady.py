"""A client that never rests: a datagram on a flow of its own every so often, and a count of those nobody answered."""

import contextlib
import itertools
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from ipaddress import ip_address

from tests.lab.client import Client

EVERY_S = 0.04
# Far above what a busy machine takes for an answer, and below what a test has time for.
LOST_AFTER_S = 3.0
PORTS = range(20000, 60000)


class Steady:
    """Asks each of ``vips`` in turn, over UDP, until ``stop``; ``sent`` and ``lost`` count by VIP."""

    def __init__(self, client: Client, vips: Collection[str], port: int = 80) -> None:
        self.sent: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self._client = client
        self._vips = itertools.cycle(vips)
        self._port = port
        self._sources = itertools.cycle(PORTS)
        self._over = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run, name="steady client")
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait for the answers that are still to come."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with self._client.network():  # it is this thread that stands there, and its sockets
            next_s = time.monotonic()
            while not self._over.is_set():
                self._ask(next(self._vips))
                next_s = max(next_s + EVERY_S, time.monotonic())
                self._collect(next_s)
            self._collect(time.monotonic() + LOST_AFTER_S, until_answered=True)
        for key in list(self._selector.get_map().values()):
            self._lose(key.fileobj, key.data[0])
        self._selector.close()

    def _ask(self, vip: str) -> None:
        family = socket.AF_INET6 if ip_address(vip).version == 6 else socket.AF_INET
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.setblocking(False)
        self.sent[vip] += 1
        try:
            udp.bind(("", next(self._sources)))
            udp.connect((vip, self._port))
            udp.send(b"who?")
        except OSError:
            udp.close()
            self.lost[vip] += 1
        else:
            self._selector.register(udp, selectors.EVENT_READ, (vip, time.monotonic()))

    def _collect(self, until_s: float, *, until_answered: bool = False) -> None:
        """Take answers until then; with ``until_answered`` no longer than any is awaited."""
        while (left_s := until_s - time.monotonic()) > 0:
            if until_answered and not self._selector.get_map():
                return
            for key, _ in self._selector.select(left_s):
                self._take(key)
        late_s = time.monotonic() - LOST_AFTER_S
        for key in [each for each in self._selector.get_map().values() if each.data[1] < late_s]:
            self._lose(key.fileobj, key.data[0])

    def _take(self, key: selectors.SelectorKey) -> None:
        udp, vip = key.fileobj, key.data[0]
        assert isinstance(udp, socket.socket)
        try:
            udp.recv(2048)
        except OSError:  # somebody says that there is nobody
            self._lose(udp, vip)
            return
        self._selector.unregister(udp)
        udp.close()

    def _lose(self, udp: object, vip: str) -> None:
        assert isinstance(udp, socket.socket)
        self.lost[vip] += 1
        self._selector.unregister(udp)
        udp.close()


@contextlib.contextmanager
def steady(client: Client, *vips: str) -> Iterator[Steady]:
    """Ask these VIPs all the while."""
    asking = Steady(client, vips)
    try:
        yield asking
    finally:
        asking.stop()
