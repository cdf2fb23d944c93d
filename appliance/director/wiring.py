"""Puts a director together from its configuration, and runs it until it is told to stop."""

import asyncio
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance import __version__
from appliance.bird.announce import Announcer
from appliance.bird.control import BirdControl
from appliance.bird.include import PREFERENCE_FILE, VIPS_FILE
from appliance.bird.render import STATIC_PROTOCOLS, render_include, render_preference
from appliance.checks.prober import Rhythm, TunnelProber
from appliance.checks.wire import ProbeWire
from appliance.config.load import load
from appliance.config.schema import Config, KubernetesSourceConfig, Telemetry
from appliance.decide.brake import BrakePolicy
from appliance.decide.check import CheckPolicy
from appliance.decide.drain import WaitPolicy
from appliance.decide.gate import GatePolicy
from appliance.decide.panic import PanicPolicy
from appliance.director import garbage, systemd, will
from appliance.director.control import ControlSocket, Nothing, Verb, question
from appliance.director.draining import leave
from appliance.director.loop import Director
from appliance.director.observability import Observation, tell_on_signal, together
from appliance.director.operator import DrainOrder, UndrainOrder
from appliance.director.ports import Ports, Publisher, Source
from appliance.director.scrape import Scraper
from appliance.director.serve import serve
from appliance.director.settings import Settings
from appliance.director.status import status
from appliance.director.systemd import Supervision
from appliance.director.workers import WorkersLoop
from appliance.errors import ConfigError
from appliance.guard.kernel import GuardKernel
from appliance.guard.standing import guard_of
from appliance.host.kernel import HostKernel
from appliance.host.prepare import modules, sysctls
from appliance.host.settings import HostSettings
from appliance.ipvs.kernel import IpvsKernel
from appliance.isolation.place import Host, place_of, stay_in_place
from appliance.last_will import Will
from appliance.model.guard import Refusal
from appliance.routes.kernel import RouteKernel
from appliance.sources.file import FileSource
from appliance.sources.kubernetes.publish import EventPublisher
from appliance.sources.kubernetes.source import KubernetesSource, Scope
from appliance.sources.kubernetes.watch import Timing
from appliance.telemetry import messages
from appliance.telemetry.http import Endpoint, Listeners
from appliance.telemetry.journal import Journal
from appliance.telemetry.meter import Meter
from appliance.vips.kernel import KernelMonitor, VipKernel

if TYPE_CHECKING:
    from appliance.sources.kubernetes.transport import KubernetesCluster


def run(path: Path, config: Config, journal: Journal) -> None:
    """Run the director with ``config`` until SIGTERM or SIGINT; SIGHUP takes it anew from ``path``.

    The caller holds the lock of this node. A reload is a new director in the same process: it adopts what stands, as
    after a restart (I7).

    Raises:
        ConfigError: a port of telemetry is in use at start; what is wrong at reload is reported and the old
            configuration stays.
        KernelError: IPVS cannot be used on this machine, or its namespace cannot be entered.
    """
    with Listeners() as listeners:
        listeners.take(endpoints(config.telemetry).values())
        with asyncio.Runner(loop_factory=WorkersLoop) as runner:
            runner.run(_run(path, config, journal, listeners))


async def _run(path: Path, config: Config, journal: Journal, listeners: Listeners) -> None:
    garbage.spare_what_lasts()
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    loop.add_signal_handler(signal.SIGUSR1, journal.tell, messages.STATE_UNKNOWN)
    observation = Observation(listeners, Meter())
    journal.tell(messages.STARTING, NODE=config.node.name, VERSION=__version__, CONFIG=path)
    await asyncio.to_thread(_prepare, config, journal)
    while not stop.is_set():
        reload.clear()
        await _serve(config, journal, stop, reload, observation)
        if reload.is_set():
            systemd.reloading()
            config = _reloaded(path, config, journal, listeners)
    systemd.stopping()
    journal.tell(messages.STOPPED, NODE=config.node.name)


def _reloaded(path: Path, config: Config, journal: Journal, listeners: Listeners) -> Config:
    try:
        fresh = load(path, netns=config.director.netns)
        stay_in_place(config, fresh, path)
        listeners.take(endpoints(fresh.telemetry).values())
    except ConfigError as error:
        for mistake in error.mistakes:
            journal.tell(messages.RELOAD_REFUSED, MISTAKE=mistake)
        return config
    journal.tell(messages.RELOADED, CONFIG=path)
    return fresh


async def _serve(
    config: Config, journal: Journal, stop: asyncio.Event, reload: asyncio.Event, observation: Observation
) -> None:
    """Run one director until it is to stop or to be made anew; what ends it otherwise is raised."""
    with ExitStack() as resources:
        control = BirdControl(config.bird.control_socket, config.bird.timeout_s)
        resources.callback(control.close)
        place = resources.enter_context(place_of(config, lambda made: journal.tell(messages.NAMESPACE, CHANGE=made)))
        director = Director(
            settings(config),
            _ports(config, control, place, resources, journal),
            journal,
            time.monotonic,
            meter=observation.meter,
            on_pass=Supervision().passed,
        )
        will.keep(config.director.runtime_dir, _will(config), director.context.standing)
        socket = ControlSocket(
            config.director.runtime_dir / "control.sock", _verbs(director), config.director.control_group
        )
        counting, detailed = place.make(IpvsKernel), config.telemetry.destinations
        guard = place.make(GuardKernel) if config.guard.enabled else None
        scraper = Scraper(director.context, counting, __version__, destinations=detailed, guard=guard)
        answering = observation.answering(endpoints(config.telemetry), scraper, director.context)
        tell_on_signal(director.context, __version__)
        try:
            beside = together(socket.serve(), garbage.collect_seldom(), *answering)
            await serve(director, beside, journal, [stop, reload])
        finally:
            await scraper.close()
        if stop.is_set():
            await leave(director.context)


def _verbs(director: Director) -> dict[str, Verb[Any]]:
    """What may be asked of the director over its socket."""
    return {
        "status": question(lambda: status(director.context, __version__)),
        "confirm": Verb(director.operator.confirm, Nothing),
        "drain": Verb(director.operator.drain, DrainOrder),
        "undrain": Verb(director.operator.undrain, UndrainOrder),
    }


def _will(config: Config) -> Will:
    """What becomes of the routes when this director is lost."""
    bird, action = config.bird, config.director.on_director_lost
    if action == "withdraw":
        path, text = bird.include_dir / VIPS_FILE, render_include(())
    else:
        path, text = bird.include_dir / PREFERENCE_FILE, render_preference(node_avoided=True)
    protocols = tuple(STATIC_PROTOCOLS.values())
    return Will(action, str(bird.control_socket), bird.timeout_s, str(path), text, protocols)


def endpoints(section: Telemetry) -> dict[str, Endpoint]:
    """Where to listen, by what is to be heard there."""
    ports = {"metrics": section.metrics_port, "health": section.health_port}
    return {
        what: Endpoint(f"telemetry.{what}_port", section.address, port)
        for what, port in ports.items()
        if port is not None
    }


def settings(config: Config) -> Settings:
    """The loop's view of the configuration."""
    damping = config.gate.damping
    return Settings(
        node=config.node.name,
        networks=config.networks,
        runtime_dir=config.director.runtime_dir,
        gate=GatePolicy(
            rise=config.gate.rise,
            apart_s=config.gate.proof_interval_s,
            free_flaps=damping.free_flaps,
            initial_hold_s=damping.initial_s,
            max_hold_s=damping.max_s,
            forget_s=damping.forget_s,
        ),
        check=CheckPolicy(config.checks.rise, config.checks.fall),
        panic=PanicPolicy(config.checks.max_lost_fraction),
        brake=BrakePolicy(
            max_withdraw_fraction=config.brake.max_withdraw_fraction,
            min_vips=config.brake.min_vips,
            confirm_after_s=config.brake.confirm_after_s,
            min_backends=config.gate.min_backends,
        ),
        min_backends=config.gate.min_backends,
        settle_s=config.gate.settle_s,
        drain_wait=WaitPolicy(config.gate.settle_s, config.gate.drain_timeout_s),
        on_stop=config.director.on_stop,
        proof_interval_s=config.gate.proof_interval_s,
        drain_time_s=config.ipvs.drain_time_s,
        resync_s=config.director.resync_s,
        canary_s=config.director.canary_s,
        route_prefix_v4=config.ipvs.route_probe_prefix_v4,
        route_prefix_v6=config.ipvs.route_probe_prefix_v6,
        min_path_mtu=config.ipvs.min_path_mtu,
        refusal=Refusal(config.guard.refusal),
        state_dir=config.director.state_dir,
        scopes=_scopes(config),
        cold_start_grace_s=config.director.cold_start_grace_s,
        unhealthy_after_s=config.telemetry.unhealthy_after_s,
    )


def _scopes(config: Config) -> dict[str, str]:
    """What each source follows: the kept state of another cluster or directory must not stand in for it."""
    cluster, files = config.sources.kubernetes, config.sources.file
    scopes = {} if files is None else {"file": str(files.path)}
    if cluster is not None:
        scopes["kubernetes"] = cluster.model_dump_json(exclude={"events", "watch_timeout_s", "max_retry_s"})
    return scopes


def sources(config: Config, journal: Journal) -> dict[str, Source]:
    """Every source of the configuration, by the name under which the status shows it."""
    found: dict[str, Source] = {}
    if config.sources.file is not None:
        found["file"] = FileSource(config.sources.file.path, config.ipvs.defaults())
    if config.sources.kubernetes is not None:
        found["kubernetes"] = _kubernetes(config, config.sources.kubernetes, journal)
    return found


def _ports(config: Config, control: BirdControl, place: Host, resources: ExitStack, journal: Journal) -> Ports:
    record = config.director.state_dir / "host-changes.json"
    followed = sources(config, journal)
    return Ports(
        ipvs=place.make(IpvsKernel),
        link=place.link(VipKernel, config.ipvs.link),
        routes=place.routes(RouteKernel),
        monitor=place.monitor(KernelMonitor),
        router=Announcer(config, control),
        sources=followed,
        publisher=_publisher(config, followed.get("kubernetes")),
        prober=_prober(config, place, resources),
        host=place.settings(lambda wanted: HostSettings(HostKernel(), wanted, record), sysctls(config)),
        guard=guard_of(lambda: place.make(GuardKernel), enabled=config.guard.enabled),
    )


def _prober(config: Config, place: Host, resources: ExitStack) -> TunnelProber | None:
    checks = config.checks
    if checks.mode == "none":
        return None
    wire = place.make(ProbeWire)
    rhythm = Rhythm(checks.interval_s, checks.timeout_s, checks.max_probes_per_s, checks.retry_s, checks.fall - 1)
    return resources.enter_context(TunnelProber(rhythm, time.monotonic, wire))


def _publisher(config: Config, source: Source | None) -> Publisher | None:
    section = config.sources.kubernetes
    if section is None or not section.events or not isinstance(source, KubernetesSource):
        return None
    return EventPublisher(_cluster(config, section), source.metadata, config.node.name)


def _cluster(config: Config, section: KubernetesSourceConfig) -> "KubernetesCluster":
    from appliance.sources.kubernetes.transport import KubernetesCluster  # noqa: PLC0415 - 45 MB that others do without

    return KubernetesCluster(section.kubeconfig, section.context, config.director.runtime_dir / "kubernetes")


def _kubernetes(config: Config, section: KubernetesSourceConfig, journal: Journal) -> KubernetesSource:
    return KubernetesSource(
        _cluster(config, section),
        Scope(section.namespaces, section.label_selector, section.load_balancer_classes),
        config.ipvs.defaults(),
        lambda text: journal.tell(messages.SOURCE_NOTE, text=text, SOURCE="kubernetes"),
        timing=Timing(watch_s=section.watch_timeout_s, max_retry_s=section.max_retry_s),
    )


def _prepare(config: Config, journal: Journal) -> None:
    """Load what modules are missing; the settings are the director's to keep (hosting)."""
    loaded = HostKernel().load_modules(modules(config))
    for module in loaded.loaded:
        journal.tell(messages.MODULE_LOADED, MODULE=module)
    for problem in loaded.problems:
        journal.tell(messages.HOST_PROBLEM, PROBLEM=problem)
