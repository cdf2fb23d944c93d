"""The sockets of the prober: three for each IP version, however many backends there are."""

import errno
import os
import secrets
import socket
import struct
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Self

from appliance.checks import codec
from appliance.errors import KernelError
from appliance.model.address import Address

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; SO_RCVBUF stops at net.core.rmem_max
_PROGRAM = struct.Struct("@HP")
_INSTRUCTION_BYTES = 8
_RECEIVE_BUFFER_BYTES = 4 << 20
"""Answers to a few thousand probes, for a loop that was busy for a second."""
_PACKET_BYTES = 256
_DISCARD_PORT = 9
_MOST_AT_ONCE = 4096
"""Answers that are taken in one go: somebody who sends forged ones all the time must not hold up the loop for good."""

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_TUNNELS = {4: socket.IPPROTO_IPIP, 6: socket.IPPROTO_IPV6}
_ETHER_TYPES = {4: 0x0800, 6: 0x86DD}  # linux/if_ether.h: ETH_P_IP, ETH_P_IPV6


class ProbeWire:
    """Sends inner packets through tunnels and hears what comes back outside of them, in this network namespace.

    The kernel writes the outer header of what a raw socket of the tunnel's protocol sends, with the source address
    that its routes ask for: what IPVS does too. An answer comes from a VIP, which is an address of this node, so the
    IP stack drops it as a martian; a packet socket sees it before that. Sockets of an IP version are opened when its
    first probe is sent.

    ``mark`` is to be the lower half of every probe's sequence number, since only answers to those are heard.
    """

    def __init__(self) -> None:
        self.mark = secrets.randbelow(0xFFFF)
        self._senders: dict[int, socket.socket] = {}
        self._hearers: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the sockets back; the next probe opens them anew."""
        for each in (*self._senders.values(), *self._hearers):
            each.close()
        self._senders.clear()
        self._hearers.clear()

    def source(self, backend: Address) -> Address:
        """The address of this node that packets to ``backend`` leave from.

        Raises:
            OSError: no route leads there.
        """
        # A socket that was connected once keeps its source address, so each look-up takes one of its own.
        with socket.socket(_FAMILIES[backend.version], socket.SOCK_DGRAM) as probe:
            probe.connect((str(backend), _DISCARD_PORT))
            return ip_address(probe.getsockname()[0])

    def send(self, packet: bytes, backend: Address) -> None:
        """Send an inner packet through the tunnel to ``backend``.

        Raises:
            OSError: this packet could not be sent now.
            KernelError: no packet can be sent at all.
        """
        sender = self._senders.get(backend.version) or self._open(backend.version)
        sender.sendto(packet, (str(backend), 0))

    def receive(self) -> Iterator[bytes]:
        """What has come back since the last call, from the network header on, cut after the headers.

        Raises:
            KernelError: nothing can be received any more.
        """
        for hearer in self._hearers:
            for _ in range(_MOST_AT_ONCE):
                try:
                    yield hearer.recv(_PACKET_BYTES)
                except BlockingIOError:
                    break
                except OSError as error:
                    # A link that went down is told once (ENETDOWN); the socket hears all others, and it when it is up.
                    if error.errno != errno.ENETDOWN:
                        raise KernelError("receive", "probe answers", error.errno or errno.EIO) from error

    def _open(self, version: int) -> socket.socket:
        try:
            with ExitStack() as failed:
                sender = failed.enter_context(socket.socket(_FAMILIES[version], socket.SOCK_RAW, _TUNNELS[version]))
                attach(sender, codec.NOTHING)
                sender.setblocking(False)
                ether_type = socket.htons(_ETHER_TYPES[version])
                hearer = failed.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ether_type))
                # What it heard before that is no answer to any probe, and is found out to be none.
                attach(hearer, codec.reply_filter(version, self.mark))
                hearer.setblocking(False)
                _enlarge(hearer)
                failed.pop_all()
        except OSError as error:
            hint = "give it CAP_NET_RAW, or set checks.mode to none" if error.errno == errno.EPERM else ""
            name = f"probe sockets for IPv{version}"
            raise KernelError("open", name, error.errno or errno.EIO, hint=hint) from error
        self._senders[version] = sender
        self._hearers.append(hearer)
        return sender


def attach(receiver: socket.socket, program: bytes) -> None:
    """Have the kernel pass on only what the filter ``program`` accepts (socket(7), SO_ATTACH_FILTER)."""
    # An array knows its address; ctypes, which could tell one too, may want memory that a hardened unit refuses.
    instructions = array("B", program)
    head = _PROGRAM.pack(len(program) // _INSTRUCTION_BYTES, instructions.buffer_info()[0])
    receiver.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)


def reason(error: OSError) -> str:
    """Why a probe was not sent, as people look it up: ``ENETUNREACH (Network is unreachable)``."""
    number = error.errno or errno.EIO
    return f"{errno.errorcode.get(number, number)} ({os.strerror(number)})"


def _enlarge(hearer: socket.socket) -> None:
    try:
        hearer.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
    except PermissionError:
        hearer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
