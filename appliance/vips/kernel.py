"""The dummy link that carries the VIPs: read it, change it, hear of changes around it."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Self

from appliance.errors import KernelError
from appliance.model.address import Address
from appliance.model.observed import ObservedLink
from appliance.model.plan import AddAddress, AddressStep, EnsureLink, Outcome, RemoveAddress, StepResult
from appliance.netlink.message import Request
from appliance.netlink.transport import NETLINK_ROUTE, NetlinkSocket
from appliance.vips import codec
from appliance.vips.outcome import outcome

_READ_BYTES = 1 << 15
_LONGEST_NAME = 15


class VipKernel:
    """Link ``link_name`` in the network namespace in which this object is made. Not for use by two threads at once.

    Raises:
        KernelError: no socket can be opened, or the name cannot be a link's.
    """

    def __init__(self, link_name: str) -> None:
        if not 0 < len(link_name.encode()) <= _LONGEST_NAME:
            raise KernelError("use", f"link name {link_name!r}", errno.EINVAL, hint="1 to 15 bytes, as in ip link")
        self._name = link_name
        self._netlink = NetlinkSocket(NETLINK_ROUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket back; a second call does nothing."""
        self._netlink.close()

    def dump(self) -> ObservedLink:
        """The link, the one-host addresses on it, and those of other links.

        A link of that name and another kind counts as absent.

        Raises:
            KernelError: the kernel refused, or no complete reading came about in three attempts.
        """
        link = self._link()
        if link is None or link.kind != codec.DUMMY:
            return ObservedLink()
        bodies = self._netlink.dump(codec.addresses_request(), "addresses")
        addresses = (codec.decode_address(body, link.index) for body in bodies)
        elsewhere = (codec.decode_elsewhere(body, link.index) for body in bodies)
        return ObservedLink(True, link.up, _known(addresses), _known(elsewhere))

    def exists(self, name: str) -> bool:
        """Whether there is a network link of this name, of any kind.

        Raises:
            KernelError: the kernel refused to say.
        """
        return self._find(name) is not None

    def apply(self, steps: Sequence[AddressStep]) -> tuple[StepResult, ...]:
        """Carry out ``steps``: the link first, then the addresses in order; same order and length as ``steps``.

        An answer that was lost counts as RETRY with ENOBUFS: whether the step was done shows at the next reading.

        Raises:
            KernelError: the kernel takes no requests at all.
        """
        ensured = self._ensure() if any(isinstance(step, EnsureLink) for step in steps) else (Outcome.DONE, 0)
        link = self._link()
        if link is None or link.kind != codec.DUMMY:
            rest = (Outcome.RETRY, errno.ENODEV) if link is None else (Outcome.FATAL, errno.EEXIST)
            return tuple(StepResult(step, *(ensured if isinstance(step, EnsureLink) else rest)) for step in steps)
        requests = [_request(step, link.index) for step in steps if not isinstance(step, EnsureLink)]
        answers = iter(self._netlink.transact(requests))
        return tuple(
            StepResult(step, *ensured)
            if isinstance(step, EnsureLink)
            else StepResult(step, outcome(step, number := next(answers).errno), number)
            for step in steps
        )

    def _ensure(self) -> tuple[Outcome, int]:
        (created,) = self._netlink.transact([codec.create_dummy_request(self._name)])
        if created.errno != errno.EEXIST:
            return outcome(EnsureLink(), created.errno), created.errno
        link = self._link()
        if link is None:
            return Outcome.RETRY, errno.ENODEV
        if link.kind != codec.DUMMY:
            return Outcome.FATAL, errno.EEXIST
        if link.up:
            return Outcome.ALREADY, errno.EEXIST
        (raised,) = self._netlink.transact([codec.set_up_request(link.index)])
        return outcome(EnsureLink(), raised.errno), raised.errno

    def _link(self) -> codec.Link | None:
        return self._find(self._name)

    def _find(self, name: str) -> codec.Link | None:
        (answer,) = self._netlink.transact([codec.link_request(name)])
        if answer.errno == errno.ENODEV:
            return None
        if answer.errno or not answer.replies:
            raise KernelError("read link", name, answer.errno)
        return codec.decode_link(answer.replies[0])


def _known(addresses: Iterable[Address | None]) -> frozenset[Address]:
    return frozenset(address for address in addresses if address is not None)


def _request(step: AddAddress | RemoveAddress, index: int) -> Request:
    if isinstance(step, AddAddress):
        return codec.add_address_request(index, step.vip)
    return codec.remove_address_request(index, step.vip)


class KernelMonitor:
    """Says that links, addresses or routes of this network namespace changed; what changed is for a reading to find.

    Raises:
        KernelError: the subscription cannot be had.
    """

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_ROUTE
            )
            self._socket.bind((0, codec.ROUTE_GROUPS))
        except OSError as error:
            raise KernelError("subscribe to", "link and route changes", error.errno or errno.EIO) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the subscription; only once nobody waits for changes any more."""
        self._socket.close()

    async def changes(self) -> AsyncIterator[None]:
        """Yield once for any number of changes since the last time.

        A burst that overran the receive buffer (ENOBUFS) is a change like any other: nothing is learned but that.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.sock_recv(self._socket, _READ_BYTES)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise KernelError("hear of", "link and route changes", error.errno or errno.EIO) from error
            self._drain()
            yield

    def _drain(self) -> None:
        while True:
            try:
                self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise KernelError("hear of", "link and route changes", error.errno or errno.EIO) from error
