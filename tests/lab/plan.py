"""The lab's address plan.

Link N is 10.0.N.0/24 and 2001:db8:0:N::/64 with the router at .1 and the host at .2. Real servers live in 10.1.0.0/16
and 2001:db8:1::/48, so that one route leads to all of them.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from tests.lab.hosts import Host

Address = IPv4Address | IPv6Address
ROUTER_AS, DIRECTOR_AS = 65000, 65001
POOL4, POOL6 = "10.50.0.0/24", "2001:db8:50::/64"
SERVERS4, SERVERS6 = "10.1.0.0/16", "2001:db8:1::/48"
# Long enough for two SYNs that a busy machine lost: they are sent again after 1 and 3 s.
ANSWER_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Link:
    """The network between the router and one host."""

    prefix4: str
    prefix6: str

    @property
    def router4(self) -> str:
        return f"{self.prefix4}.1"

    @property
    def router6(self) -> str:
        return f"{self.prefix6}::1"

    @property
    def host4(self) -> str:
        return f"{self.prefix4}.2"

    @property
    def host6(self) -> str:
        return f"{self.prefix6}::2"


LINKS = {
    "client": Link("10.0.1", "2001:db8:0:1"),
    "director1": Link("10.0.11", "2001:db8:0:11"),
    "director2": Link("10.0.12", "2001:db8:0:12"),
    "server1": Link("10.1.1", "2001:db8:1:1"),
    "server2": Link("10.1.2", "2001:db8:1:2"),
    "server3": Link("10.1.3", "2001:db8:1:3"),
}
DIRECTORS = ("director1", "director2")
SERVERS = ("server1", "server2", "server3")


@dataclass
class Station(Host):
    """A host at the end of a link."""

    @property
    def link(self) -> Link:
        return LINKS[self.name]

    @property
    def address4(self) -> IPv4Address:
        return IPv4Address(self.link.host4)

    @property
    def address6(self) -> IPv6Address:
        return IPv6Address(self.link.host6)

    def send_single_packets(self) -> None:
        """From now on no packet of this host is larger than its link, as it would be behind a card."""
        self.ip("link set eth0 gso_max_segs 1")

    def forget_paths(self) -> None:
        """What this host was told of the size of paths counts no more."""
        for version in ("-4", "-6"):
            self.run(["ip", version, "route", "flush", "cache"])

    def commands(self) -> tuple[str, ...]:
        """What ``ip`` has to do on this host beyond its link: the routes."""
        return (f"route add 0.0.0.0/0 via {self.link.router4}", f"route add ::/0 via {self.link.router6}")
