"""The way between this host and the namespace in the kernel: kept in order, and proven by asking for the way."""

import errno
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from appliance.errors import KernelError
from appliance.isolation import codec
from appliance.isolation.codec import Link
from appliance.isolation.namespace import Namespace
from appliance.isolation.plan import INSIDE, OUTSIDE, Passage, by_version, inside_end, outside_end
from appliance.model.address import Address
from appliance.netlink import rtnetlink
from appliance.netlink.message import Request
from appliance.netlink.transport import NETLINK_ROUTE, Answer, NetlinkSocket

_LINK_MTU = 1500
_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True, slots=True)
class _Part:
    """Something that is to stand: what the kernel is asked to do for it, and its name in words."""

    what: str
    request: Request


@dataclass(frozen=True, slots=True)
class Kept:
    """What was put in order, in words, and what could not be; empty where there was nothing."""

    made: tuple[str, ...] = ()
    refused: str = ""


class _Refused(Exception):
    """The kernel said no to something without which nothing gets through."""


class PassageKernel:
    """The pair of links with its addresses and routes, from this thread's network namespace into another.

    Nothing is ever removed: what somebody else put in the way of it is named, and cuts what does not get through.
    Not for use by two threads at once.

    Raises:
        KernelError: no socket can be opened.
    """

    def __init__(self, passage: Passage, namespace: Namespace) -> None:
        self._passage = passage
        self._namespace = namespace
        self._outside = NetlinkSocket(NETLINK_ROUTE)
        self._inside = namespace.inside(NetlinkSocket, NETLINK_ROUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the sockets back; the passage stays. A second call does nothing."""
        self._outside.close()
        self._inside.close()

    def keep(self) -> Kept:
        """Make what is missing and set right what is not as it should be.

        What stands already is left as it is, whoever made it.

        Raises:
            KernelError: the kernel does not say what stands.
        """
        made: list[str] = []
        try:
            self._put_in_order(made)
        except _Refused as refusal:
            return Kept(tuple(made), str(refusal))
        return Kept(tuple(made))

    def _put_in_order(self, made: list[str]) -> None:
        mtu = self._width()
        outside = _find(self._outside, OUTSIDE)
        if outside is None:
            self._create(mtu)
            made.append(f"links {OUTSIDE} and {INSIDE}")
            outside = _find(self._outside, OUTSIDE)
        inside = _find(self._inside, INSIDE)
        if outside is None or outside.kind != codec.VETH or inside is None or inside.kind != codec.VETH:
            what = f"a link {OUTSIDE} or {INSIDE} is none of ours, or leads elsewhere"
            raise _Refused(f"{what} (ip link del {OUTSIDE}; it is made anew)")
        _have(self._inside, [*_link_parts(INSIDE, inside, mtu), *self._inside_parts(inside)], made)
        _have(self._outside, [*_link_parts(OUTSIDE, outside, mtu), *self._outside_parts(outside)], made)

    def cut(self, vips: Collection[Address]) -> dict[Address, str]:
        """The VIPs whose packets would not get from this host's uplinks into the namespace, each with the reason.

        Raises:
            KernelError: the kernel does not say.
        """
        outside = _find(self._outside, OUTSIDE)
        if outside is None:
            return dict.fromkeys(vips, f"the link {OUTSIDE} into the namespace is missing")
        shut = self._shut(outside)
        asked = list(vips)
        answers = self._outside.transact([codec.lookup_request(vip) for vip in asked])
        cut: dict[Address, str] = {}
        for vip, answer in zip(asked, answers, strict=True):
            if vip.version in shut:
                cut[vip] = shut[vip.version]
            elif not _leads(answer, outside.index, vip):
                cut[vip] = f"this host does not send {vip} into the namespace: see ip route get {vip}"
        return cut

    def _shut(self, outside: Link) -> dict[int, str]:
        """The IP versions that this host does not forward, with the link that does not."""
        links = {name: _find(self._outside, name) for name in self._passage.uplinks} | {OUTSIDE: outside}
        return {
            version: f"{name} does not forward IPv{version} packets (net.ipv{version}.conf.*.forwarding)"
            for version in self._passage.versions
            for name, link in links.items()
            if link is not None and version not in link.forwards
        }

    def _width(self) -> int:
        """The MTU of the narrowest uplink, so that whoever asks in the namespace is told what the host would say."""
        uplinks = (_find(self._outside, name) for name in self._passage.uplinks)
        return min((link.mtu for link in uplinks if link is not None), default=_LINK_MTU)

    def _create(self, mtu: int) -> None:
        request = codec.create_request(OUTSIDE, INSIDE, self._namespace.descriptor, mtu)
        (answer,) = self._outside.transact([request])
        if answer.errno:
            hints = {errno.EOPNOTSUPP: "modprobe veth", errno.EEXIST: f"remove the {INSIDE} that the namespace has"}
            error = KernelError("make", f"link {OUTSIDE}", answer.errno, hint=hints.get(answer.errno, ""))
            raise _Refused(str(error))

    def _inside_parts(self, link: Link) -> list[_Part]:
        parts = []
        if not self._lo_is_up():
            parts.append(_Part("the namespace's lo up", codec.set_up_request(rtnetlink.LOOPBACK_INDEX)))
        for network in self._passage.networks:
            end, gateway = inside_end(network), outside_end(network)
            parts.append(_Part(f"{end} on {INSIDE}", codec.add_address_request(link.index, end, network)))
            default = type(network)(_EVERYTHING[network.version])
            parts.append(_Part(f"default via {gateway}", codec.add_route_request(default, gateway, link.index)))
        return parts

    def _outside_parts(self, link: Link) -> list[_Part]:
        parts = []
        if 4 in self._passage.versions and 4 not in link.forwards:  # noqa: PLR2004 - the IP version
            parts.append(_Part(f"{OUTSIDE} forwards IPv4", codec.forward_ipv4_request(link.index)))
        for network in self._passage.networks:
            end = outside_end(network)
            parts.append(_Part(f"{end} on {OUTSIDE}", codec.add_address_request(link.index, end, network)))
        ends = by_version(self._passage.networks)
        for pool in self._passage.pools:
            end = inside_end(ends[pool.version])
            parts.append(_Part(f"{pool} via {end}", codec.add_route_request(pool, end, link.index)))
        return parts

    def _lo_is_up(self) -> bool:
        loopback = _find(self._inside, "lo")
        return loopback is not None and loopback.up


def _link_parts(name: str, link: Link, mtu: int) -> list[_Part]:
    parts = []
    if link.mtu != mtu:
        parts.append(_Part(f"MTU {link.mtu} -> {mtu} of {name}", codec.set_mtu_request(link.index, mtu)))
    if not link.up:
        parts.append(_Part(f"{name} up", codec.set_up_request(link.index)))
    return parts


def _have(netlink: NetlinkSocket, parts: Sequence[_Part], made: list[str]) -> None:
    """Have the kernel do what is still to do, and add that to ``made``."""
    refused = ""
    for part, answer in zip(parts, netlink.transact([part.request for part in parts]), strict=True):
        if answer.errno == errno.ENOBUFS:
            raise KernelError("have", part.what, answer.errno)
        if answer.errno == 0:
            made.append(part.what)
        elif answer.errno != errno.EEXIST:
            refused = refused or str(KernelError("have", part.what, answer.errno))
    if refused:
        raise _Refused(refused)


def _find(netlink: NetlinkSocket, name: str) -> Link | None:
    (answer,) = netlink.transact([codec.link_request(name)])
    if answer.errno == errno.ENODEV:
        return None
    if answer.errno or not answer.replies:
        raise KernelError("read link", name, answer.errno or errno.EIO)
    return codec.decode_link(answer.replies[0])


def _leads(answer: Answer, link: int, vip: Address) -> bool:
    if answer.errno in rtnetlink.UNREACHABLE:
        return False
    if answer.errno or not answer.replies:
        raise KernelError("look up route to", str(vip), answer.errno or errno.EIO)
    return codec.decode_way_out(answer.replies[0]) == link
