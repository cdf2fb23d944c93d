"""The lab's network: a client, a router with BGP and ECMP, two directors, three real servers.

::

                     +-- director1 --+  each: BIRD, IPVS, the daemon; routes to the servers only, no default route
    client -- router +-- director2 --+
                     +-- server1..3     tunl0 with the VIPs; they answer the client directly, through the router

Every host but the router has one link, ``eth0``; the router's end of it has the host's name.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tests.lab.birdhost import Bird
from tests.lab.birds import BirdInstall, machine_bird
from tests.lab.client import Client
from tests.lab.hosts import Host, Process, create, destroy
from tests.lab.plan import DIRECTOR_AS, POOL4, POOL6, ROUTER_AS, SERVERS, SERVERS4, SERVERS6, Address, Station
from tests.lab.router import Router, router_config

TREE = Path(__file__).resolve().parent.parent.parent
__all__ = [  # what a test needs of the lab, from one place
    "DIRECTOR_AS", "POOL4", "POOL6", "ROUTER_AS", "SERVERS", "SERVERS4", "SERVERS6",
    "Client", "Director", "Lab", "Router", "Server", "Station", "build_lab",
]  # fmt: skip


@dataclass
class Server(Station):
    """A real server: takes packets for its VIPs out of the tunnel and answers the client itself."""

    def serve(self, *vips: Address | str) -> None:
        """Put VIPs on the tunnel interfaces, so that packets for them are this host's own."""
        versions = ((ip_address(str(vip)), "tunl0", "ip6tnl0") for vip in vips)
        self.ip(*(f"addr replace {vip} dev {v4 if vip.version == 4 else v6}" for vip, v4, v6 in versions))

    def start_service(self) -> Process:
        """Start the HTTP and UDP server on port 80."""
        script = TREE / "tests/lab/realserver.py"
        return self.start(["/usr/bin/python3", "-I", "-S", str(script), self.name], "realserver")

    def commands(self) -> tuple[str, ...]:
        return (*super().commands(), "link set tunl0 up", "link set ip6tnl0 up")

    def prepare(self) -> None:
        super().prepare()
        for interface in ("all", "default", "tunl0"):
            self.sysctl(f"net.ipv4.conf.{interface}.rp_filter", 0)


@dataclass
class Director(Bird, Station):
    """A load-balancer node."""

    def ipvs(self) -> str:
        """The IPVS table as ``ipvsadm -Ln`` prints it."""
        return self.run(["ipvsadm", "-Ln"])

    def start_daemon(self, config: str, *, release: Sequence[str] = (), under: Sequence[str] = ()) -> Process:
        """Write the configuration and start ``balanced director`` with it, or another program; ``under`` starts it."""
        path = self.write("appliance.yaml", config)
        program = release or (str(TREE / ".venv/bin/balanced"), "director", "--config", str(path))
        return self.start([*under, *program], "director")

    def balanced(self, *arguments: str, check: bool = True) -> str:
        """Run a ``balanced`` command and return its output."""
        return self.run([str(TREE / ".venv/bin/balanced"), *arguments], check=check)

    def commands(self) -> tuple[str, ...]:
        return (f"route add {SERVERS4} via {self.link.router4}", f"route add {SERVERS6} via {self.link.router6}")

    def restore_routes_to_servers(self) -> None:
        """Undo ``remove_routes_to_servers``."""
        self.ip(*self.commands())

    def remove_routes_to_servers(self) -> None:
        """From now on this director cannot reach any real server."""
        self.ip(f"route del {SERVERS4}", f"route del {SERVERS6}")


@dataclass
class Lab:
    """Every host of the lab, created and connected."""

    client: Client
    router: Router
    directors: tuple[Director, Director]
    servers: tuple[Server, Server, Server]

    @property
    def hosts(self) -> tuple[Host, ...]:
        return (self.client, self.router, *self.directors, *self.servers)

    @property
    def processes(self) -> list[Process]:
        """Every process that was started on any host, also those that have ended."""
        return [process for host in self.hosts for process in host.processes]

    def serve(self, *vips: Address | str) -> None:
        """Make every real server take packets for these VIPs."""
        for server in self.servers:
            server.serve(*vips)


STANDING: list[Lab] = []  # the labs that stand now, for whoever wants to show their logs


@contextlib.contextmanager
def build_lab(director_bird: BirdInstall | None = None, router_bird: BirdInstall | None = None) -> Iterator[Lab]:
    """The whole lab, with the router's BIRD and the real servers running; the directors are bare.

    BIRD is the machine's own where nothing else is said. Only one lab can stand at a time, since its hosts have fixed
    names: a file whose fixture keeps one for all of its tests cannot ask for a second one.
    """
    assert not STANDING, "a lab stands already: leave its fixture first, or move these tests to a file of their own"
    usual = machine_bird()
    director_bird = director_bird or usual
    lab = Lab(
        Client("client"),
        Router("router", install=router_bird or usual),
        (Director("director1", install=director_bird), Director("director2", install=director_bird)),
        (Server("server1"), Server("server2"), Server("server3")),
    )
    with contextlib.ExitStack() as stack:
        STANDING.append(lab)
        stack.callback(STANDING.remove, lab)
        create(lab.hosts)
        stack.callback(destroy, lab.hosts)
        _connect(lab)
        services = [server.start_service() for server in lab.servers]
        lab.router.start_bird(router_config())
        for service in services:
            service.wait_for_log("serves on port")
        yield lab


def _connect(lab: Lab) -> None:
    lab.router.ip("link set lo up")
    stations: tuple[Station, ...] = (lab.client, *lab.directors, *lab.servers)
    for station in stations:
        connect(station, lab.router)


def connect(station: Station, router: Router) -> None:
    """Link, addresses and routes of one host. All have a default route to the router, except the directors."""
    link = station.link
    station.ip(
        "link set lo up",
        f"link add eth0 type veth peer name {station.name} netns router",
        f"addr add {link.host4}/24 dev eth0",
        f"addr add {link.host6}/64 dev eth0",
        "link set eth0 up",
        *station.commands(),
    )
    router.ip(
        f"addr add {link.router4}/24 dev {station.name}",
        f"addr add {link.router6}/64 dev {station.name}",
        f"link set {station.name} up",
    )
