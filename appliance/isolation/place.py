"""Where a director's part of the kernel is: on the host, or in a network namespace of its own."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self, TypeVar

from appliance.config.schema import Config
from appliance.errors import ConfigError
from appliance.isolation.kernel import PassageKernel
from appliance.isolation.namespace import NAMES, Namespace, make_if_missing
from appliance.isolation.plan import Passage, outside_sysctls, split
from appliance.isolation.views import (
    BothMonitors,
    IsolatedLink,
    IsolatedRoutes,
    IsolatedSettings,
    Link,
    Monitor,
    Routes,
    Settings,
)
from appliance.model.host import Sysctl


class Kernel(Protocol):
    """An adapter to some part of the kernel, of the network namespace in which it is made."""

    def close(self) -> None: ...  # noqa: D102 - a second call does nothing


class RoutesKernel(Routes, Kernel, Protocol):
    """Look-ups over a socket."""


class LinkKernel(Link, Kernel, Protocol):
    """The VIPs' link over a socket."""


class MonitorKernel(Monitor, Kernel, Protocol):
    """Changes heard by a socket."""


_Made = TypeVar("_Made", bound=Kernel)


class Host:
    """Everything on the host. What it makes it closes."""

    def __init__(self) -> None:
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def make(self, make: Callable[..., _Made], *arguments: object) -> _Made:
        """An adapter to the kernel that serves."""
        return self._keep(make(*arguments))

    def link(self, make: Callable[..., LinkKernel], *arguments: object) -> Link:
        """The link that carries the VIPs."""
        return self.make(make, *arguments)

    def routes(self, make: Callable[[], RoutesKernel]) -> Routes:
        """Routes to backends."""
        return self.make(make)

    def monitor(self, make: Callable[[], MonitorKernel]) -> Monitor:
        """Word of changes."""
        return self.make(make)

    def settings(self, make: Callable[[Iterable[Sysctl]], Settings], wanted: Iterable[Sysctl]) -> Settings:
        """The settings that are ``wanted`` of a director's kernel."""
        return make(wanted)

    def _keep(self, made: _Made) -> _Made:
        self._resources.callback(made.close)
        return made


class Isolated(Host):
    """Everything that serves in the namespace at ``path``, and on the host what it takes to get there.

    Raises:
        KernelError: the namespace is not there or may not be entered.
    """

    def __init__(self, path: Path, passage: Passage, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._passage = passage
        self._tell = tell
        self._namespace = self._keep(Namespace(path))

    def make(self, make: Callable[..., _Made], *arguments: object) -> _Made:
        """An adapter to the namespace's kernel."""
        return self._keep(self._namespace.inside(make, *arguments))

    def link(self, make: Callable[..., LinkKernel], *arguments: object) -> Link:
        """The link in the namespace with the way to it."""
        way = self._keep(PassageKernel(self._passage, self._namespace))
        return IsolatedLink(self.make(make, *arguments), way, self._tell)

    def routes(self, make: Callable[[], RoutesKernel]) -> Routes:
        """Routes out of the namespace, and on from the host."""
        return IsolatedRoutes(self.make(make), super().make(make))

    def monitor(self, make: Callable[[], MonitorKernel]) -> Monitor:
        """Word of changes on both sides."""
        # It is waited for by the event loop, so it is only made in the namespace, and not used there.
        inside = self._keep(self._namespace.run(make))
        return BothMonitors(inside, super().make(make))

    def settings(self, make: Callable[[Iterable[Sysctl]], Settings], wanted: Iterable[Sysctl]) -> Settings:
        """IPVS's settings in the namespace, and the host's, by which it forwards."""
        inside, outside = split(wanted)
        return IsolatedSettings(self._namespace.inside(make, inside), make((*outside, *outside_sysctls(self._passage))))


def place_of(config: Config, tell: Callable[[str], None]) -> Host:
    """Where a director of this configuration works; its namespace is made when it is missing.

    ``tell`` hears, in words, what was made or put in order, now and later.

    Raises:
        KernelError: the namespace cannot be made or entered.
    """
    section = config.director
    if section.netns is None:
        return Host()
    if make_if_missing(section.netns):
        tell(f"network namespace {section.netns}")
    return Isolated(NAMES / section.netns, Passage(section.netns_networks, config.networks, config.node.uplinks), tell)


def stay_in_place(running: Config, fresh: Config, path: Path) -> None:
    """Refuse a configuration that would move a running director to another place.

    Raises:
        ConfigError: it would.
    """
    for key in ("netns", "netns_networks"):
        if getattr(fresh.director, key) != getattr(running.director, key):
            remedy = "leave it as it was, or drain and restart the director"
            raise ConfigError((f"{path}: director.{key}: cannot be changed by a reload ({remedy})",))
