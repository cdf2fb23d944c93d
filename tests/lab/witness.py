"""What stands, read with the operator's own tools: a check of the director must not ask the director's own code."""

import errno
import re
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from tests.lab.birdhost import Bird
from tests.lab.hosts import Host, output_of
from tests.lab.topology import Director, Router

LINK = "dummy-vip-if"
_PREFIX = re.compile(r"^(\S+)/(?:32|128)\s")
_SESSION = re.compile(r"\[(director\d)(?:_v6)?\s")


@dataclass(frozen=True, slots=True)
class Standing:
    """A virtual service as ``ipvsadm -Sn`` writes it: ``-s mh -b ...``, and (server, weight) in the kernel's order."""

    scheduling: str
    destinations: tuple[tuple[str, int], ...] = ()


Table = Mapping[str, Standing]
"""Virtual services by their name for ipvsadm: ``-t 10.50.0.1:80``."""


def named(vip: str, port: object) -> str:
    """The name of a virtual service: of port 80 or ``80/udp``."""
    number, _, protocol = str(port).partition("/")
    shown = f"[{vip}]" if ":" in vip else vip
    return f"-{'u' if protocol == 'udp' else 't'} {shown}:{number}"


def parse_table(text: str) -> dict[str, Standing]:
    """The table in the format of ``ipvsadm -Sn``, ipvsadm(8)."""
    table: dict[str, Standing] = {}
    for words in map(str.split, text.splitlines()):
        name = " ".join(words[1:3])
        if words[0] == "-A":
            table[name] = Standing(" ".join(words[3:]))
        else:
            destination = words[words.index("-r") + 1], int(words[words.index("-w") + 1])
            table[name] = Standing(table[name].scheduling, (*table[name].destinations, destination))
    return table


def table_of(host: Host) -> dict[str, Standing]:
    """The table of virtual services of this host."""
    with host.network():  # ``ip netns exec`` would take twice as long
        return parse_table(output_of(["ipvsadm", "-Sn"]))


def addresses_of(host: Host) -> frozenset[str]:
    """The addresses on the link with the VIPs, but for link-local ones; none where it is missing or down."""
    links = [link for link in host.ip_json("address") if link["ifname"] == LINK and "UP" in link["flags"]]
    found = [each["local"] for link in links for each in link["addr_info"]]
    return frozenset(address for address in found if not ip_address(address).is_link_local)


def local(host: Host, vips: Collection[str]) -> frozenset[str]:
    """Those of the VIPs that the host's kernel takes packets for: only its own addresses can be bound."""
    return frozenset(vip for vip in vips if _binds(host, vip))


def exported(director: Director) -> frozenset[str]:
    """The VIPs that the director's BIRD tells the router about."""
    shown = [director.birdc(f"show route exported {session}") for session in ("balanced_router", "balanced_router_v6")]
    return frozenset(match[1] for line in "\n".join(shown).splitlines() if (match := _PREFIX.match(line)))


def learned(router: Router) -> dict[str, frozenset[str]]:
    """The directors that the router has a route to each VIP from, used or not."""
    found: dict[str, set[str]] = {}
    vip = ""
    for line in router.birdc("show route").splitlines():
        prefix = _PREFIX.match(line)
        vip = prefix[1] if prefix else vip
        found.setdefault(vip, set()).update(_SESSION.findall(line))
    return {vip: frozenset(directors) for vip, directors in found.items() if directors}


def has_route(bird: Bird, prefix: str) -> bool:
    """Whether BIRD there has a route to exactly this network."""
    return prefix in bird.birdc(f"show route {prefix}")


def _binds(host: Host, vip: str) -> bool:
    family = socket.AF_INET6 if ip_address(vip).version == 6 else socket.AF_INET
    with host.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((vip, 0))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return False
        return True
