"""Whether this node can reach its backends' networks, as the kernel's own look-up says.

IPVS does not say it: it takes a destination without a route as long as the namespace has any IPv4 address at all
(inet_addr_type in ``ip_vs_new_dest`` asks for the type of the address, not for a way to it), and drops its packets.
"""

import errno
from collections.abc import Collection, Mapping
from typing import Self

from appliance.errors import KernelError
from appliance.model.address import Address, Network
from appliance.netlink.transport import NETLINK_ROUTE, Answer, NetlinkSocket
from appliance.routes import codec


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

    def unroutable(self, subnets: Collection[Network]) -> frozenset[Network]:
        """Those of ``subnets`` that no usable route leads to: one look-up for the first host address of each.

        A first host that is this node itself (a director often is the .1 of its network) says nothing about its
        neighbours, so the last one is asked for instead.

        Raises:
            KernelError: an answer is missing or says neither yes nor no; no subnet may be judged on that.
        """
        kinds = self._look_up({subnet: codec.first_host(subnet) for subnet in subnets})
        own = {subnet: codec.last_host(subnet) for subnet, kind in kinds.items() if kind == codec.RTN_LOCAL}
        kinds |= self._look_up({subnet: host for subnet, host in own.items() if host != codec.first_host(subnet)})
        return frozenset(subnet for subnet, kind in kinds.items() if kind != codec.RTN_UNICAST)

    def _look_up(self, hosts: Mapping[Network, Address]) -> dict[Network, int]:
        """The route type for each host, 0 where the kernel knows no usable route."""
        answers = self._netlink.transact([codec.lookup_request(host) for host in hosts.values()])
        return {subnet: _kind(host, answer) for (subnet, host), answer in zip(hosts.items(), answers, strict=True)}


def _kind(host: Address, answer: Answer) -> int:
    if answer.errno in codec.UNREACHABLE:
        return 0
    if answer.errno or not answer.replies:
        raise KernelError("look up route to", str(host), answer.errno or errno.EIO)
    kind, loopback = codec.decode_route(answer.replies[0])
    return 0 if loopback and kind == codec.RTN_UNICAST else kind
