"""A cluster that two directors follow: the API server's double on the router, and a Service for each VIP."""

import shutil
from pathlib import Path
from typing import Any

from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.objects import Object, endpoint_slice, service
from tests.lab.faults.scenes import OTHER, UDP_PORTS, VIP4, VIP6
from tests.lab.hosts import wait_until
from tests.lab.serving import Serving
from tests.lab.topology import Director

NAMES = {"web4": VIP4, "web6": VIP6, "other": OTHER}


class Cluster:
    """The API server's double, on the router, with a Service for each VIP; ``hosts`` is where its name stands."""

    def __init__(self, serving: Serving, double: Double, hosts: Path) -> None:
        self.serving, self.double, self.hosts = serving, double, hosts
        self.api = Api(double, "shop")
        self._stopped = False
        for name in NAMES:
            self.api.create_all([self.service(name), self.endpoints(name)])

    def stop(self) -> None:
        """The server is gone."""
        self.double.stop()
        self._stopped = True

    def start(self) -> None:
        """It is there again, if it was gone."""
        if self._stopped:
            self.double.start()
        self._stopped = False

    def service(self, name: str, **changes: Any) -> Object:
        return service(name, **{"vips": [NAMES[name]], "ports": UDP_PORTS, **changes})

    def endpoints(self, name: str, servers: int = 3) -> Object:
        """The slice of a Service with so many of the real servers."""
        v6 = ":" in NAMES[name]
        chosen = self.serving.lab.servers[:servers]
        addresses = [str(each.address6 if v6 else each.address4) for each in chosen]
        return endpoint_slice(name, addresses, ports=UDP_PORTS, address_type="IPv6" if v6 else "IPv4")

    def scale(self, name: str, servers: int) -> None:
        """So many real servers, and no others, are the endpoints of a Service from now on."""
        self.api.replace(self.endpoints(name, servers))

    def seen(self, name: str, servers: int) -> None:
        """Both directors have so many destinations that take new connections."""
        vip = f"[{NAMES[name]}]" if ":" in NAMES[name] else NAMES[name]

        def taking(director: Director) -> int:
            rows = [line.split() for line in director.run(["ipvsadm", "-Sn"]).splitlines()]
            return sum(row[:3] == ["-a", "-t", f"{vip}:80"] and row[6:8] == ["-w", "1"] for row in rows)

        directors = self.serving.lab.directors
        wait_until(lambda: all(taking(each) == servers for each in directors), 60, f"{servers} servers of {name}")

    def alarm(self, director: Director) -> str:
        """What the director says about this source."""
        return str(self.serving.asked(director)["conditions"].get("source kubernetes", ""))


def power_off(serving: Serving, director: Director) -> None:
    """Nothing stays of a director but its disk."""
    serving.daemons[director.name].kill()
    for process in director.processes:
        if process.name.endswith("/bird") and process.running:
            process.kill()
    director.run(["ipvsadm", "-C"])
    director.ip("link del dummy-vip-if")
    for folder in ("run", "include"):
        shutil.rmtree(director.folder / folder)
