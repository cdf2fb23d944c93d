"""What stands before a fault happens."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.lab.hosts import Process, wait_until
from tests.lab.serving import BOTH, STARTED_WITHIN_S, Serving
from tests.lab.topology import Director, Lab, build_lab

VIP4, VIP6, OTHER = "10.50.0.1", "2001:db8:50::1", "10.50.0.2"
UNDAMPED = "damping: {free_flaps: 1000}"
UDP = "80/udp"
UDP_PORTS: list[Any] = [80, {"name": "udp", "port": 80, "protocol": "UDP"}]


@contextlib.contextmanager
def three_vips(
    *,
    gate: str = UNDAMPED,
    settings: str = "",
    daemon: str = "",
    prepare: Callable[[Lab], None] = lambda _: None,
) -> Iterator[Serving]:
    """Two directors that announce three VIPs, each with TCP and UDP over all servers; no return is damped."""
    with build_lab() as lab:
        prepare(lab)
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services, settings=settings, gate=gate, daemon=daemon)
        lab.serve(VIP4, VIP6, OTHER)
        serve_all(serving)
        for director in lab.directors:
            serving.start(director)
        for vip in (VIP4, VIP6, OTHER):
            serving.wait_for(vip, BOTH)
        yield serving


def start_again(serving: Serving, director: Director) -> Process:
    """Start the daemon of a director anew, and wait until it has adopted what stands."""
    log = serving.daemons[director.name].log
    said, socket = log.stat().st_size, director.folder / "run/control.sock"
    daemon = serving.start(director)
    wait_until(lambda: "adopted" in log.read_text()[said:], STARTED_WITHIN_S, "it to adopt what stands")
    wait_until(socket.is_socket, STARTED_WITHIN_S, "its control socket")
    return daemon


def serve_all(serving: Serving) -> None:
    """The services as they are before and after each trial."""
    for name, vip in (("web4", VIP4), ("web6", VIP6), ("other", OTHER)):
        serving.write(name, vip, ports=(80, UDP))
