"""Puts an allocator together from its configuration, and runs it until it is told to stop."""

import asyncio
import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import msgspec

from appliance import __version__
from appliance.config.ipam import Ipam
from appliance.config.load import load_ipam
from appliance.errors import ConfigError
from appliance.ipam.controller import Controller
from appliance.ipam.election import Elector, Terms
from appliance.ipam.tell import Teller
from appliance.sources.kubernetes.api import ExchangeCluster
from appliance.sources.kubernetes.claiming import ClaimSource, StatusWriter
from appliance.sources.kubernetes.events import Teller as Voice
from appliance.sources.kubernetes.lease import KubernetesLease
from appliance.sources.kubernetes.objects import Metadata
from appliance.sources.kubernetes.publish import EventPublisher
from appliance.telemetry import exposition, ipam_metrics, messages, metrics, process
from appliance.telemetry.http import Answer, Endpoint, Listeners, Route, serve
from appliance.telemetry.journal import Journal
from appliance.telemetry.meter import Meter

UNHEALTHY_AFTER_S = 60.0
"""Seconds without an attempt at the Lease, be it a failed one, after which the process is taken for hung."""

COMPONENT = "balanced-ipam"


def run(path: Path, config: Ipam, journal: Journal) -> None:
    """Run the allocator until SIGTERM or SIGINT; SIGHUP takes the pools anew, SIGUSR1 logs the state.

    Raises:
        ConfigError: a port cannot be listened on.
    """
    with Listeners() as listeners, tempfile.TemporaryDirectory(prefix="balanced-ipam-") as scratch:
        listeners.take(endpoints(config).values())
        asyncio.run(_run(path, config, journal, listeners, cluster_of(config, Path(scratch))))


def cluster_of(config: Ipam, scratch: Path) -> ExchangeCluster:
    """The cluster of the configuration; ``scratch`` is a private directory that outlives it."""
    from appliance.sources.kubernetes.transport import KubernetesCluster  # noqa: PLC0415 - 45 MB that others do without

    return KubernetesCluster(config.kubeconfig, config.context, scratch)


def endpoints(config: Ipam) -> dict[str, Endpoint]:
    """Where to listen, by what is to be heard there."""
    ports = {"metrics": config.metrics_port, "health": config.health_port}
    return {
        what: Endpoint(f"ipam.{what}_port", config.address, port) for what, port in ports.items() if port is not None
    }


@dataclass(slots=True)
class Candidate:
    """One allocator: what leads, and what tells of it."""

    config: Ipam
    cluster: ExchangeCluster
    journal: Journal
    name: str
    clock: Callable[[], float]
    end_in: Callable[[float], None] = lambda _: None
    source: ClaimSource | None = None
    is_leading: bool = False
    reloaded: asyncio.Event = field(default_factory=asyncio.Event)
    meter: Meter = field(default_factory=Meter)
    elector: Elector = field(init=False)
    teller: Teller = field(init=False)
    publisher: EventPublisher = field(init=False)

    def __post_init__(self) -> None:
        """Make what needs one another."""
        lease = self.config.lease
        self.publisher = EventPublisher(self.cluster, self._metadata, self.name, teller=Voice(COMPONENT))
        self.teller = Teller(self.journal, self.publisher, self.meter)
        self.elector = Elector(
            KubernetesLease(self.cluster, lease.namespace, lease.name),
            Terms(lease.duration_s, lease.renew_within_s, lease.retry_s),
            # A process that comes back under its old name must not take its own old lease for its own.
            f"{self.name}_{secrets.token_hex(4)}",
            self.clock,
            on_turn=self._turned,
            end_in=self.end_in,
        )

    async def lead(self) -> None:
        """Allocate, from a list that is made now, until cancelled; from a new one after each reload."""
        while True:
            self.reloaded.clear()
            config = self.config
            source = ClaimSource(
                self.cluster,
                config.load_balancer_classes,
                ip_mode=config.ip_mode,
                with_namespaces=config.needs_namespaces,
            )
            self.source = source
            writer = StatusWriter(self.cluster, source, lambda: self.elector.left_s)
            controller = Controller(config.as_pools(), source, writer, self.teller)
            work = [source.follow(), controller.run(), self.reloaded.wait()]
            tasks = [asyncio.create_task(each) for each in work]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()

    def reload(self, path: Path) -> None:
        """Take pools and classes anew; a wrong configuration is told and changes nothing. All else needs a restart."""
        try:
            fresh = load_ipam(path)
        except ConfigError as error:
            for mistake in error.mistakes:
                self.journal.tell(messages.RELOAD_REFUSED, MISTAKE=mistake)
            return
        changed = {name: getattr(fresh, name) for name in ("pools", "load_balancer_classes", "ip_mode")}
        self.config = self.config.model_copy(update=changed)
        self.journal.tell(messages.RELOADED, CONFIG=path)
        self.reloaded.set()

    def tell_state(self) -> None:
        """Put the state into the journal."""
        self.journal.tell(messages.STATE, text=self.state())

    def state(self) -> str:
        """Who leads, and while it is this one how full the pools are, as JSON."""
        error = str(self.elector.error) if self.elector.error else None
        uses = self.teller.uses
        fields = {"leading": self.is_leading, "leader": self.elector.leader, "error": error, "ranges": uses}
        return msgspec.json.encode(fields).decode()

    async def tell_events(self) -> None:
        """Write Events, for ever."""
        async for error in self.publisher.outcomes():
            self.teller.events(error)

    def _turned(self) -> None:
        self.teller.lease(self.elector.error)
        leads = self.elector.left_s > 0
        if leads != self.is_leading:
            lease = f"{self.config.lease.namespace}/{self.config.lease.name}"
            self.journal.tell(messages.LEADING if leads else messages.LEADING_NO_MORE, NODE=self.name, LEASE=lease)
        self.is_leading = leads
        self.teller.leads(is_leading=leads)

    def _metadata(self, owner: str) -> Metadata | None:
        return self.source.metadata(owner) if self.source else None


async def _run(path: Path, config: Ipam, journal: Journal, listeners: Listeners, cluster: ExchangeCluster) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    candidate = Candidate(config, cluster, journal, config.identity or socket.gethostname(), _now_s, _end_in)
    loop.add_signal_handler(signal.SIGHUP, candidate.reload, path)
    loop.add_signal_handler(signal.SIGUSR1, candidate.tell_state)
    journal.tell(messages.ALLOCATOR_STARTING, NODE=candidate.name, VERSION=__version__, CONFIG=path)
    routes = {"metrics": metrics_routes(candidate), "health": health_routes(candidate)}
    async with asyncio.TaskGroup() as tasks:
        beside = [
            tasks.create_task(serve(listeners.socket(place), routes[what])) for what, place in endpoints(config).items()
        ]
        beside.append(tasks.create_task(candidate.tell_events()))
        await candidate.elector.lead(candidate.lead, stop)
        for task in beside:
            task.cancel()
    journal.tell(messages.ALLOCATOR_STOPPED, NODE=candidate.name)


def metrics_routes(candidate: Candidate) -> dict[str, Route]:
    """``/metrics``."""

    async def scrape() -> Answer:
        counted = candidate.meter.families([*ipam_metrics.ALLOCATOR, metrics.SYNC_TIME, metrics.SYNC_TIME_LAST])
        families = [*counted, *candidate.teller.families(), *process.families()]
        return Answer(exposition.text(families), content_type=exposition.CONTENT_TYPE)

    return {"/metrics": scrape}


def health_routes(candidate: Candidate) -> dict[str, Route]:
    """``/healthz``: the process turns; ``/readyz``: it has read the Lease, so that it leads or stands by.

    ``/checks`` tells who leads and how full the pools are.
    """

    async def healthz() -> Answer:
        if candidate.clock() - candidate.elector.turned_s < UNHEALTHY_AFTER_S:
            return Answer(["OK\n"])
        return Answer(["Unhealthy\n"], HTTPStatus.INTERNAL_SERVER_ERROR)

    async def readyz() -> Answer:
        if candidate.elector.has_read:
            return Answer(["OK\n"])
        return Answer(["the Lease was not read yet\n"], HTTPStatus.SERVICE_UNAVAILABLE)

    async def checks() -> Answer:
        return Answer([candidate.state(), "\n"], content_type="application/json")

    return {"/healthz": healthz, "/readyz": readyz, "/checks": checks}


def _end_in(seconds: float) -> None:
    """Have the kernel end this process, stopped or not, before it does anything else; 0 calls it off.

    Nothing handles SIGALRM, so it ends the process (signal(7)); it stays pending while the process is stopped, and is
    dealt with before the process gets to its own next instruction.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _now_s() -> float:
    """Seconds that also count while the machine sleeps (clock_gettime(2), CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
