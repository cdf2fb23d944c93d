"""What the soak wants of the directors: services that come and go, and backends that are readied and unreadied."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.plan import LINKS
from tests.lab.witness import Standing, named

SCHEDULING = "-s mh -b mh-fallback,mh-port"


@dataclass
class Service:
    """One service; ``backends`` are its real servers, and whether each is ready. No other may see its packets."""

    name: str
    vip: str
    ports: tuple[object, ...]
    backends: dict[str, bool]
    present: bool = True

    def address_of(self, server: str) -> str:
        return LINKS[server].host6 if ":" in self.vip else LINKS[server].host4

    def table(self) -> dict[str, Standing]:
        """What should stand for it, whatever the order."""
        return {
            named(self.vip, port): Standing(
                SCHEDULING, tuple((self._shown(server, port), int(ready)) for server, ready in self.backends.items())
            )
            for port in self.ports
        }

    def _shown(self, server: str, port: object) -> str:
        number = str(port).partition("/")[0]
        address = self.address_of(server)
        return f"[{address}]:{number}" if ":" in address else f"{address}:{number}"


def usual() -> dict[str, Service]:
    """Three VIPs, one of them with two services. Each has a real server that is none of its backends."""
    services = (
        Service("web4", "10.50.0.1", (80, "80/udp"), {"server1": True, "server2": True}),
        Service("web6", "2001:db8:50::1", (80, "80/udp"), {"server2": True, "server3": True}),
        Service("api", "10.50.0.2", (80, "80/udp"), {"server1": True, "server3": True}),
        Service("api_admin", "10.50.0.2", (8443,), {"server3": True}),
    )
    return {service.name: service for service in services}


@dataclass
class Wanted:
    """The services, and the files that say so."""

    folder: Path
    services: dict[str, Service] = field(default_factory=usual)
    broken: bool = False

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        for name in self.services:
            self.write(name)

    def write(self, name: str) -> None:
        """Bring the file of one service up to date."""
        service, path = self.services[name], self.folder / f"{name}.yaml"
        if not service.present:
            path.unlink(missing_ok=True)
            return
        backends = [{"address": service.address_of(each), "ready": ready} for each, ready in service.backends.items()]
        document = {"name": name, "vip": service.vip, "ports": list(service.ports), "backends": backends}
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(document))
        fresh.rename(path)

    def spoil(self) -> None:
        """From now on nothing can be read."""
        self.broken = True
        (self.folder / "broken.yaml").write_text("vip: [")

    def mend(self) -> None:
        """Undo ``spoil``."""
        (self.folder / "broken.yaml").unlink()
        self.broken = False

    @property
    def present(self) -> list[Service]:
        return [service for service in self.services.values() if service.present]

    @property
    def vips(self) -> frozenset[str]:
        return frozenset(service.vip for service in self.present)

    @property
    def served(self) -> frozenset[str]:
        """The VIPs with a ready backend."""
        return frozenset(service.vip for service in self.present if any(service.backends.values()))

    @property
    def answering(self) -> frozenset[str]:
        """The VIPs with somebody who answers datagrams: one of two services on a VIP may lack that."""
        services = [service for service in self.present if "80/udp" in service.ports]
        return frozenset(service.vip for service in services if any(service.backends.values()))

    def table(self) -> dict[str, Standing]:
        """What should stand for all of them."""
        return {name: each for service in self.present for name, each in service.table().items()}

    def backends_ever(self) -> dict[str, frozenset[str]]:
        """The addresses to which packets for each VIP may ever go."""
        return {
            service.vip: frozenset(
                each.address_of(server)
                for each in self.services.values()
                if each.vip == service.vip
                for server in each.backends
            )
            for service in self.services.values()
        }
