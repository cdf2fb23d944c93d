"""The way between this host and the namespace, as values: who stands at its ends, and what the host must do for it."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.model.address import Address, Network
from appliance.model.host import Sysctl

OUTSIDE = "vip-veth"
"""The host's end of the pair of links."""

INSIDE = "host-veth"
"""The namespace's end."""


_IPVS = "net/ipv4/vs/"


@dataclass(frozen=True, slots=True)
class Passage:
    """What the way is made of.

    ``networks`` has one network for each IP version, whose first two hosts are the ends. The host sends what is for
    ``pools`` through it, and takes part by the links ``uplinks``.
    """

    networks: tuple[Network, ...]
    pools: tuple[Network, ...]
    uplinks: tuple[str, ...]

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions that get through."""
        return tuple(network.version for network in self.networks)


def outside_end(network: Network) -> Address:
    """The host's address in ``network``: its first host (RFC 3021 and 6164: of two addresses both are)."""
    return network[0] if network.num_addresses == 2 else network[1]  # noqa: PLR2004 - as above


def inside_end(network: Network) -> Address:
    """The namespace's address in ``network``; the source of tunnel packets and of probes."""
    return outside_end(network) + 1


def outside_sysctls(passage: Passage) -> tuple[Sysctl, ...]:
    """Settings of the host by which packets get from its uplinks into the namespace, and tunnel packets out of it.

    The end of the pair itself is no setting: it is made to forward.
    IPv4 forwards what comes in by a link that may (``IN_DEV_FORWARD`` in net/ipv4/route.c). IPv6 asks the whole host
    (``devconf_all->forwarding`` in net/ipv6/ip6_output.c), and a host that forwards no longer heeds router
    advertisements, its default route among them, but for links with accept_ra 2 (ip-sysctl.rst).
    """
    reason = "what comes in for a VIP goes on into the namespace, and what is for a backend comes out of it"
    wanted: list[Sysctl] = []
    if 4 in passage.versions:  # noqa: PLR2004 - the IP version
        wanted += [Sysctl(f"net/ipv4/conf/{link}/forwarding", "1", reason) for link in passage.uplinks]
    if 6 in passage.versions:  # noqa: PLR2004 - as above
        kept = "a host that forwards would drop the routes that routers advertise"
        wanted += [Sysctl(f"net/ipv6/conf/{link}/accept_ra", "2", kept, also_good=("0",)) for link in passage.uplinks]
        wanted.append(Sysctl("net/ipv6/conf/all/forwarding", "1", reason))
    return tuple(wanted)


def split(wanted: Iterable[Sysctl]) -> tuple[tuple[Sysctl, ...], tuple[Sysctl, ...]]:
    """Settings for the namespace, where IPVS is, and those for the host."""
    settings = tuple(wanted)
    inside = tuple(each for each in settings if each.key.startswith(_IPVS))
    return inside, tuple(each for each in settings if each not in inside)


def by_version(networks: Iterable[Network]) -> dict[int, Network]:
    """The network of each IP version."""
    return {network.version: network for network in networks}
