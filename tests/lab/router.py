"""The router of the lab: where it is seen what the directors announce."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tests.lab.birdhost import Bird
from tests.lab.hosts import RUN
from tests.lab.plan import DIRECTOR_AS, DIRECTORS, LINKS, ROUTER_AS, Address


@dataclass(frozen=True, slots=True)
class Session:
    """One BGP session of the router: how often it came up so far, and the route changes received since it last did."""

    established: bool
    times_up: int
    updates: int
    withdraws: int


@dataclass
class Router(Bird):
    """The top-of-rack router: one BGP session per director and address family, ECMP by ports."""

    def prepare(self) -> None:
        super().prepare()
        self.sysctl("net.ipv4.ip_forward", 1)
        self.sysctl("net.ipv6.conf.all.forwarding", 1)
        for family in ("ipv4", "ipv6"):
            self.sysctl(f"net.{family}.fib_multipath_hash_policy", 1)

    def routes_to(self, vip: Address | str) -> set[str]:
        """The directors that the kernel's route to the VIP leads to; empty when there is no route."""
        version = f"-{ip_address(str(vip)).version}"
        hops: set[str] = set()
        for route in self.ip_json(version, "route", "show", "exact", str(vip)):
            hops |= {hop["dev"] for hop in route.get("nexthops", [route])}
        return hops

    def learned(self, vip: Address | str) -> set[str]:
        """The directors that BIRD has a route to the VIP from, whether or not it uses it."""
        length = ip_address(str(vip)).max_prefixlen
        shown = self.birdc(f"show route {vip}/{length} all")
        return set(re.findall(r"via \S+ on (\w+)", shown))

    def marked(self, vip: Address | str) -> set[str]:
        """The directors whose route to the VIP carries all by which a router is to avoid it.

        That is the community GRACEFUL_SHUTDOWN (RFC 8326), a longer AS path and a high MED.
        """
        length = ip_address(str(vip)).max_prefixlen
        path, marks = f"BGP.as_path: {DIRECTOR_AS} {DIRECTOR_AS}", ("(65535,0)", f"BGP.med: {2**32 - 2}")
        routes = self.birdc(f"show route {vip}/{length} all").split("unicast [")[1:]
        marked = {route for route in routes if path in route and all(mark in route for mark in marks)}
        half = {route for route in routes if route not in marked and any(mark in route for mark in (path, *marks))}
        assert not half, f"a route that is de-preferred by halves: {half}"
        return {route.split(maxsplit=1)[0].removesuffix("_v6") for route in marked}

    @property
    def trace(self) -> Path:
        """Where BIRD writes what it hears, route by route, with the time of day to the microsecond."""
        return self.folder / "trace.log"

    def sessions(self) -> dict[str, Session]:
        """Every BGP session by name: ``director1`` and ``director2`` over IPv4, ``director1_v6`` ... over IPv6.

        Two readings are equal exactly when not one BGP UPDATE arrived between them and no session was lost.
        """
        log = (self.folder / "bird.log").read_text()
        blocks = re.split(r"^(?=\S+ +BGP )", self.birdc("show protocols all"), flags=re.MULTILINE)[1:]
        return {block.split()[0]: _session(block, log) for block in blocks}


def _session(block: str, log: str) -> Session:
    def received(kind: str) -> int:
        """The first column of the channels' counters: received, whatever became of it."""
        return sum(int(count) for count in re.findall(rf"Import {kind}: +(\d+)", block))

    name: str = block.split(maxsplit=1)[0]
    times_up = len(re.findall(rf" {name}: State changed to up$", log, flags=re.MULTILINE))
    return Session("Established" in block.splitlines()[0], times_up, received("updates"), received("withdraws"))


def router_config(*, any_family: bool = False) -> str:
    """The router's BIRD configuration: it takes what the directors say and uses all equal routes at once.

    With ``any_family`` its IPv6 sessions take IPv4 routes too (RFC 8950); its IPv4 sessions always take both.
    """
    head = f"""\
log stderr all;
log "{RUN}/router/trace.log" {{ trace }};
timeformat log iso long us;
router id {LINKS["client"].router4};
protocol device {{ }}
protocol kernel kernel4 {{ ipv4 {{ import none; export all; }}; merge paths on; }}
protocol kernel kernel6 {{ ipv6 {{ import none; export all; }}; merge paths on; }}
protocol bfd {{ interface "*" {{ interval 300 ms; multiplier 5; }}; }}
template bgp director {{
  local as {ROUTER_AS};
  hold time 30;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  bfd on;
  debug {{ states, routes }};
}}
"""
    session = """\
protocol bgp {name} from director {{ neighbor {address} as {asn}; {channels} }}
"""
    both, only6 = (
        "ipv4 { import all; export none; }; ipv6 { import all; export none; };",
        "ipv6 { import all; export none; };",
    )
    over6 = f"{only6} ipv4 {{ import all; export none; extended next hop; }};" if any_family else only6
    sessions = [
        session.format(name=name, address=address, asn=DIRECTOR_AS, channels=channels)
        for director in DIRECTORS
        for name, address, channels in (
            (director, LINKS[director].host4, both),
            (f"{director}_v6", LINKS[director].host6, over6),
        )
    ]
    return head + "".join(sessions)
