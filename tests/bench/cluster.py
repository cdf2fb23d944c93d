"""The lab with directors that run our daemon, set up for measuring: a larger pool, no damping."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.bird.render import render_config
from appliance.config.load import load
from tests.bench.workload import POOL
from tests.lab.hosts import Process, wait_until
from tests.lab.serving import Serving, daemon_config
from tests.lab.topology import POOL4, Director, Lab

UNDAMPED = "gate: {rise: 3, damping: {initial_s: 0}, "

# Thousands of VIPs have a line each.
LOG_SHOWN = 8000


@dataclass
class Node:
    """One director: its BIRD and its daemon."""

    director: Director
    bird: Process
    daemon: Process


def start(lab: Lab, director: Director, sources: str = "", *, settings: str = "", settle_s: int = 1) -> Node:
    """Start BIRD and the daemon of a director, on service files in the client's folder or on other ``sources``.

    ``settings`` are further lines of its configuration, ``settle_s`` is ``gate.settle_s``. Damping is off, since it is
    no fault but the measurement that breaks one VIP twenty times.
    """
    services = lab.client.folder / "services"
    services.mkdir(exist_ok=True)
    text = daemon_config(director, services, sources).replace(POOL4, str(POOL))
    text = text.replace("gate: {settle_s: 1", f"{UNDAMPED}settle_s: {settle_s}") + settings
    path = director.write("appliance.yaml", text)
    (director.folder / "include").mkdir(exist_ok=True)
    bird = director.start_bird(render_config(load(path)))
    return Node(director, bird, director.start_daemon(text))


def wait(nodes: Sequence[Node], predicate: Callable[[], object], within_s: float, what: str) -> None:
    """Wait until ``predicate`` holds.

    Raises:
        AssertionError: it did not, or a daemon ended; the text holds the end of what the daemons said.
    """
    try:
        wait_until(lambda: predicate() or not all(node.daemon.running for node in nodes), within_s, what)
        assert predicate(), what
    except AssertionError as error:
        logs = "\n".join(f"--- {node.daemon.name}\n{node.daemon.text()[-LOG_SHOWN:]}" for node in nodes)
        raise AssertionError(f"{error}\n{logs}") from error


def serving(lab: Lab) -> Serving:
    """The writer of the service files that ``start`` points the daemons to."""
    services = lab.client.folder / "services"
    services.mkdir(exist_ok=True)
    return Serving(lab, services)
