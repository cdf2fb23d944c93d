"""Puts a tunnel agent together from its configuration, and runs it until it is told to stop."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance import __version__
from appliance.config.schema import Telemetry
from appliance.config.tunnel import Runtimes, TunnelConfig
from appliance.errors import KernelError
from appliance.host.kernel import HostKernel
from appliance.model.desired import ServiceDefaults
from appliance.model.pod import Pod, PodKey
from appliance.runtimes.docker import DockerRuntime
from appliance.runtimes.groups import ControlGroups
from appliance.runtimes.resolver import Resolver, Runtime
from appliance.sources.kubernetes.events import Teller
from appliance.sources.kubernetes.objects import Metadata
from appliance.sources.kubernetes.pods import PodSource
from appliance.sources.kubernetes.publish import EventPublisher
from appliance.sources.kubernetes.readiness import ConditionWriter
from appliance.sources.kubernetes.source import KubernetesSource, Scope
from appliance.sources.kubernetes.watch import Timing
from appliance.telemetry import messages
from appliance.telemetry.http import Endpoint, Listeners, serve
from appliance.telemetry.journal import Journal
from appliance.telemetry.notify import notify
from appliance.tunnel import pages, static
from appliance.tunnel.agent import Agent
from appliance.tunnel.modules import LEGACY_FIREWALL, MODULES
from appliance.tunnel.place import Places
from appliance.tunnel.ports import Ports, Settings

if TYPE_CHECKING:
    from appliance.sources.kubernetes.transport import KubernetesCluster

TELLER = Teller("balanced-tunnel", "Pod")
FEED_S = 2.0
"""More often than needed would only wake systemd."""


def run(config: TunnelConfig, journal: Journal, file: Path | None = None) -> None:
    """Run an agent until SIGTERM or SIGINT: for the pods of this node, or with ``file`` for this machine itself.

    Whatever stands then stays: a pod keeps its VIPs while no agent runs.

    Raises:
        ConfigError: a port of telemetry is in use, or the file is wrong at the start.
        KernelError: this process may not do what it has to.
    """
    with Listeners() as listeners:
        listeners.take(endpoints(config.telemetry).values())
        asyncio.run(_run(config, journal, listeners, file))


async def _run(config: TunnelConfig, journal: Journal, listeners: Listeners, file: Path | None) -> None:
    stop, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    await asyncio.to_thread(_load_modules, journal, MODULES)
    async with AsyncExitStack() as resources:
        places = resources.enter_context(await asyncio.to_thread(_places, config, journal))
        journal.tell(messages.TUNNEL_STARTED, NODE=config.node.name, VERSION=__version__, FIREWALL=places.firewall)
        if file is None:
            work = _for_pods(config, journal, listeners, places, resources)
        else:
            work = [_for_this_machine(config, journal, places, file, again)]
        await _until(stop, work)
    notify("STOPPING=1", "STATUS=stopped")
    journal.tell(messages.TUNNEL_STOPPED, NODE=config.node.name)


async def _until(stop: asyncio.Event, work: list[Coroutine[Any, Any, None]]) -> None:
    """Run all of ``work`` until told to stop; the first that fails ends the others, and is raised."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each) for each in work]
        await stop.wait()
        for each in running:
            each.cancel()


def _for_pods(
    config: TunnelConfig, journal: Journal, listeners: Listeners, places: Places, resources: AsyncExitStack
) -> list[Coroutine[Any, Any, None]]:
    resolver = _resolver(config.runtimes)
    resources.push_async_callback(resolver.close)
    # The publisher asks for pods by their name, and only the agent knows them.
    known: dict[PodKey, Pod] = {}
    publisher = EventPublisher(_cluster(config), partial(_subject, known), config.node.name, teller=TELLER)
    ports = Ports(
        services=_services(config, journal),
        pods=_Remembering(PodSource(_cluster(config), config.node.name, timing=_timing(config)), known),
        containers=resolver,
        namespaces=places,
        conditions=ConditionWriter(_cluster(config)),
        publisher=publisher if config.kubernetes.events else None,
    )
    agent = Agent(ports, settings(config), journal, time.monotonic, on_pass=Feeder())
    tell = partial(_dump, agent, journal)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
    routes = {
        "metrics": pages.metrics_routes(agent, __version__),
        "health": pages.health_routes(agent, lambda: datetime.now(UTC)),
    }
    servers = [serve(listeners.socket(place), routes[what]) for what, place in endpoints(config.telemetry).items()]
    return [agent.run(), *servers]


async def _for_this_machine(
    config: TunnelConfig, journal: Journal, places: Places, file: Path, again: asyncio.Event
) -> None:
    read = partial(static.read_static, file, owned=config.owns, directors=config.lock)
    feeder = Feeder()
    await static.keep(
        places, read, journal, resync_s=config.agent.resync_s, on_pass=lambda: feeder(None), wait=_wake(again, feeder)
    )


def _wake(again: asyncio.Event, feeder: "Feeder") -> Callable[[float], Awaitable[object]]:
    """Wait that long, or until SIGHUP; systemd is told in between that all is well."""

    async def wait(wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + wait_s
        while not again.is_set() and loop.time() < end_s:
            try:
                async with asyncio.timeout(min(FEED_S, end_s - loop.time())):
                    await again.wait()
            except TimeoutError:
                feeder(None)
        again.clear()

    return wait


class Feeder:
    """Tells systemd that a round is done: readiness once, then the watchdog's food."""

    def __init__(self) -> None:
        self._is_ready = False
        self._fed_s = float("-inf")

    def __call__(self, agent: Agent | None) -> None:
        """A round is done."""
        if not self._is_ready and (agent is None or agent.is_ready):
            self._is_ready = notify("READY=1")
        now_s = time.monotonic()
        if now_s - self._fed_s >= FEED_S and (agent is None or pages.is_healthy(agent)):
            notify("WATCHDOG=1")
            self._fed_s = now_s


class _Remembering:
    """The pods, and beside that the latest of them by name."""

    def __init__(self, source: PodSource, known: dict[PodKey, Pod]) -> None:
        self._source = source
        self._known = known

    async def snapshots(self) -> Any:
        async for said in self._source.snapshots():
            if isinstance(said, dict):
                self._known.clear()
                self._known.update(said)
            yield said


def _subject(known: dict[PodKey, Pod], owner: str) -> Metadata | None:
    namespace, _, name = owner.partition("/")
    pod = known.get(PodKey(namespace, name))
    return None if pod is None else Metadata(name, namespace, pod.version or None, pod.uid or None)


def settings(config: TunnelConfig) -> Settings:
    """The agent's view of the configuration."""
    return Settings(
        node=config.node.name,
        owned=config.owns,
        directors=config.lock,
        resync_s=config.agent.resync_s,
        linger_s=config.agent.linger_s,
        confirm_after_s=config.agent.confirm_after_s,
        unhealthy_after_s=config.telemetry.unhealthy_after_s,
    )


def endpoints(section: Telemetry) -> dict[str, Endpoint]:
    """Where to listen, by what is to be heard there."""
    ports = {"metrics": section.metrics_port, "health": section.health_port}
    return {
        what: Endpoint(f"telemetry.{what}_port", section.address, port)
        for what, port in ports.items()
        if port is not None
    }


def _resolver(section: Runtimes) -> Resolver:
    groups = ControlGroups()
    if section.resolver == "cgroup":
        return Resolver({}, groups)
    from appliance.runtimes.cri import CriRuntime  # noqa: PLC0415 - 10 MB that others do without

    runtimes: dict[str, Runtime] = {
        "containerd": CriRuntime(section.containerd),
        "cri-o": CriRuntime(section.crio),
        "docker": DockerRuntime(section.docker),
    }
    return Resolver(runtimes, groups)


def _services(config: TunnelConfig, journal: Journal) -> KubernetesSource:
    section = config.kubernetes
    return KubernetesSource(
        _cluster(config),
        Scope(section.namespaces, section.label_selector, section.load_balancer_classes),
        ServiceDefaults(),
        lambda text: journal.tell(messages.SOURCE_NOTE, text=text, SOURCE="kubernetes"),
        timing=_timing(config),
    )


def _timing(config: TunnelConfig) -> Timing:
    return Timing(watch_s=config.kubernetes.watch_timeout_s, max_retry_s=config.kubernetes.max_retry_s)


def _cluster(config: TunnelConfig) -> "KubernetesCluster":
    from appliance.sources.kubernetes.transport import KubernetesCluster  # noqa: PLC0415 - 45 MB that others do without

    section = config.kubernetes
    return KubernetesCluster(section.kubeconfig, section.context, config.agent.runtime_dir / "kubernetes")


def _dump(agent: Agent, journal: Journal) -> None:
    for line in pages.dump(agent, __version__):
        journal.tell(messages.STATE, text=line)


def _places(config: TunnelConfig, journal: Journal) -> Places:
    """Places, with legacy iptables loaded only where the kernel has no nftables."""
    try:
        return Places(config.owns)
    except KernelError:
        _load_modules(journal, LEGACY_FIREWALL)
        return Places(config.owns)


def _load_modules(journal: Journal, modules: Iterable[str]) -> None:
    """Load what is missing; in a container that cannot, the node has to have done it."""
    loaded = HostKernel().load_modules(modules)
    for module in loaded.loaded:
        journal.tell(messages.MODULE_LOADED, MODULE=module)
