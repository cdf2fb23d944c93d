"""Whether this node can reach its backends' networks, and with packets of what size, as the kernel's look-up says.

IPVS does not say it: it takes a destination without a route as long as the namespace has any IPv4 address at all
(inet_addr_type in ``ip_vs_new_dest`` asks for the type of the address, not for a way to it), and drops its packets.
"""

import errno
from collections.abc import Collection, Mapping
from typing import Self

from appliance.errors import KernelError
from appliance.model.address import Address, Network
from appliance.netlink import rtnetlink
from appliance.netlink.transport import NETLINK_ROUTE, Answer, NetlinkSocket
from appliance.routes import codec
from appliance.routes.codec import Route

_NOWHERE = Route(0)


class RouteKernel:
    """Route look-ups in the network namespace in which this object is made. Not for use by two threads at once.

    Raises:
        KernelError: no socket can be opened.
    """

    def __init__(self) -> None:
        self._netlink = NetlinkSocket(NETLINK_ROUTE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket back; a second call does nothing."""
        self._netlink.close()

    def path_mtus(self, subnets: Collection[Network]) -> dict[Network, int]:
        """The largest packet in bytes that a usable route takes to each of ``subnets``; those without one are missing.

        One look-up for the first host address of each. A first host that is this node itself (a director often is the
        .1 of its network) says nothing about its neighbours, so the last one is asked for instead. It is the MTU that
        IPVS goes by: the route's (``dst_mtu`` in ip_vs_xmit.c), which no link beneath it can exceed.

        Raises:
            KernelError: an answer is missing or says neither yes nor no; no subnet may be judged on that.
        """
        found = self._look_up({subnet: codec.first_host(subnet) for subnet in subnets})
        own = {subnet: codec.last_host(subnet) for subnet, route in found.items() if route.kind == codec.RTN_LOCAL}
        found |= self._look_up({subnet: host for subnet, host in own.items() if host != codec.first_host(subnet)})
        usable = {subnet: route for subnet, route in found.items() if route.usable}
        links = self._link_mtus({(route.link, subnet.version) for subnet, route in usable.items()})
        carried = {subnet: links[route.link, subnet.version] for subnet, route in usable.items()}
        return {subnet: min(carried[subnet], route.mtu or carried[subnet]) for subnet, route in usable.items()}

    def _look_up(self, hosts: Mapping[Network, Address]) -> dict[Network, Route]:
        answers = self._netlink.transact([codec.lookup_request(host) for host in hosts.values()])
        return {subnet: _route(host, answer) for (subnet, host), answer in zip(hosts.items(), answers, strict=True)}

    def _link_mtus(self, links: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """The MTU of each pair of link and IP version: all routes of a node leave by a handful of links."""
        answers = self._netlink.transact([codec.link_request(index) for index, _ in links])
        return {
            (index, version): codec.decode_link_mtu(_reply(answer, "read link", str(index)), version)
            for (index, version), answer in zip(links, answers, strict=True)
        }


def _route(host: Address, answer: Answer) -> Route:
    if answer.errno in rtnetlink.UNREACHABLE:
        return _NOWHERE
    return codec.decode_route(_reply(answer, "look up route to", str(host)))


def _reply(answer: Answer, op: str, key: str) -> bytes:
    if answer.errno or not answer.replies:
        raise KernelError(op, key, answer.errno or errno.EIO)
    return answer.replies[0]
