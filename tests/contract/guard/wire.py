"""A client, a node with VIPs and a network beyond the node, each in a namespace, joined by veth pairs.

The host's kernel may have no dummy links, so the VIPs stand on the loopback: what comes from the client comes from
outside either way.
"""

import errno
import select
import socket
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Self

from appliance.guard.kernel import GuardKernel
from tests.netns import Namespace

CLIENT, STRANGER, NODE = ("192.0.2.10", "198.51.100.10", "192.0.2.1")
CLIENT6, STRANGER6, NODE6 = ("2001:db8:7::10", "2001:db8:8::10", "2001:db8:7::1")
BEYOND, BEYOND6 = ("203.0.113.2", "2001:db8:9::2")
VIP, VIP2, VIP6 = ("10.50.0.1", "10.50.0.2", "2001:db8:50::1")
OWN, OWN6 = ("10.50.0.250", "2001:db8:50::250")
UNSERVED, UNSERVED6 = ("10.50.0.77", "2001:db8:50::77")
ELSEWHERE, ELSEWHERE6 = ("10.50.0.99", "2001:db8:50::99")

QUIET_S = 0.75
"""For how long nothing must come where nothing may come; an answer takes under a millisecond on an idle machine."""
DEADLINE_S = 5.0


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def plug(one: Namespace, first: str, other: Namespace, second: str) -> None:
    """A veth pair between two namespaces, both ends up."""
    one.run("ip", "link", "add", "name", first, "type", "veth", "peer", "name", second, "netns", other.path)
    for namespace, name in ((one, first), (other, second)):
        namespace.run("sysctl", "-qw", f"net.ipv6.conf.{name}.accept_dad=0")
        namespace.run("ip", "link", "set", "dev", name, "up")


def give(namespace: Namespace, link: str, *addresses: str) -> None:
    for address in addresses:
        nodad = ["nodad"] if ":" in address else []
        namespace.run("ip", "addr", "add", address, "dev", link, *nodad)


class Wire:
    """The three namespaces, and the guard of the node."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.client, self.node, self.beyond = (self._stack.enter_context(Namespace()) for _ in range(3))
        plug(self.client, "up", self.node, "down")
        plug(self.node, "out", self.beyond, "in")
        give(self.client, "up", f"{CLIENT}/24", f"{CLIENT6}/64", f"{STRANGER}/32", f"{STRANGER6}/128")
        give(self.node, "down", f"{NODE}/24", f"{NODE6}/64", f"{OWN}/32", f"{OWN6}/128")
        give(self.node, "out", "203.0.113.1/24", "2001:db8:9::1/64")
        give(self.node, "lo", f"{VIP}/32", f"{VIP2}/32", f"{VIP6}/128", f"{UNSERVED}/32", f"{UNSERVED6}/128")
        give(self.beyond, "in", f"{BEYOND}/24", f"{BEYOND6}/64")
        self.client.run("ip", "route", "add", "default", "via", NODE)
        self.client.run("ip", "-6", "route", "add", "default", "via", NODE6)
        self.beyond.run("ip", "route", "add", "default", "via", "203.0.113.1")
        self.beyond.run("ip", "-6", "route", "add", "default", "via", "2001:db8:9::1")
        self.node.run("ip", "route", "add", "default", "via", CLIENT)
        self.node.run("ip", "-6", "route", "add", "default", "via", CLIENT6)
        self.node.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        with self.node.entered():
            self.guard = self._stack.enter_context(GuardKernel())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, namespace: Namespace, kind: int, address: str, protocol: int = 0) -> socket.socket:
        """A socket in a namespace, of the address' family; closed with the wire."""
        with namespace.entered():
            return self._stack.enter_context(socket.socket(family(address), kind, protocol))

    def listen(self, *ports: int) -> None:
        """The node listens on these TCP ports at all addresses of both families, as sshd does."""
        for anywhere in ("0.0.0.0", "::"):
            for port in ports:
                listener = self.open(self.node, socket.SOCK_STREAM, anywhere)
                if anywhere == "::":
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind((anywhere, port))
                listener.listen(128)

    def receiver(self, port: int, address: str, namespace: Namespace | None = None) -> socket.socket:
        """A UDP socket, of the node where nothing else is said, bound to all addresses of the address' family."""
        made = self.open(namespace or self.node, socket.SOCK_DGRAM, address)
        made.bind(("::" if ":" in address else "0.0.0.0", port))
        return made

    def sender(self, source: str) -> socket.socket:
        """A UDP socket of the client with this source."""
        made = self.open(self.client, socket.SOCK_DGRAM, source)
        made.bind((source, 0))
        return made

    def knock(self, address: str, ports: Iterable[int], source: str | None = None) -> dict[int, str]:
        """Connect from the client to each port, all at once: ``open``, ``closed`` (reset), or ``silent``."""
        waiting = {}
        for port in ports:
            one = self.open(self.client, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, address)
            if source is not None:
                one.bind((source, 0))
            with suppress(BlockingIOError, ConnectionRefusedError):
                one.connect((address, port))
            waiting[one] = port
        found = dict.fromkeys(waiting.values(), "silent")
        names = {0: "open", errno.ECONNREFUSED: "closed"}
        while waiting:
            _, ready, _ = select.select([], list(waiting), [], QUIET_S)
            if not ready:
                break
            for one in ready:
                found[waiting.pop(one)] = names[one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)]
        return found

    def door(self, address: str, port: int, source: str | None = None) -> str:
        """What one connection from the client comes to."""
        return self.knock(address, [port], source)[port]


def receive(receiving: socket.socket, wait_s: float = DEADLINE_S) -> bytes | None:
    """The next datagram, None if none comes."""
    receiving.settimeout(wait_s)
    try:
        return receiving.recv(65535)
    except TimeoutError:
        return None
