"""Gathers what the preflight judges by. Reads only, and works beside a running director as well as without one."""

import asyncio
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from appliance.bird.control import SHOW_STATUS, BirdControl
from appliance.bird.replies import parse_status
from appliance.config.schema import Config
from appliance.decide import kube_proxy
from appliance.decide.fight import KUBE_PROXY_LINK
from appliance.decide.reach import backend_subnets
from appliance.director.snapshot_codec import decode
from appliance.errors import ApplianceError, BirdError, KernelError, SourceError
from appliance.guard.kernel import GuardKernel
from appliance.guard.layout import TABLE
from appliance.host import files, net
from appliance.host.files import HostFiles
from appliance.host.kernel import HostKernel
from appliance.host.prepare import IPVS_MODULE, IPVS_SYSCTLS, modules, sysctls
from appliance.ipvs.kernel import IpvsKernel
from appliance.isolation.namespace import NAMES, Namespace
from appliance.model.address import Address, Network
from appliance.model.desired import DesiredService, Snapshot
from appliance.model.host import Facts, Listener, Module, Nic, OwnAddress, Place, SecretFile
from appliance.routes.kernel import RouteKernel
from appliance.sources.file import read_directory
from appliance.vips.kernel import VipKernel

_NET_ADMIN, _NET_RAW, _SYS_ADMIN = 12, 13, 21  # linux/capability.h
_Read = TypeVar("_Read")


class Unread:
    """What could not be read, in words, and what stands in for it."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def or_else(self, default: _Read, read: Callable[[], _Read]) -> _Read:
        """What ``read`` returns, or ``default`` where it raises."""
        try:
            return read()
        except ApplianceError as error:
            self.texts.append(str(error))
            return default


def gather(config: Config, path: Path) -> Facts:
    """Everything that can be read of this host for the director that is configured at ``path``."""
    host, kernel, unread = HostFiles(), HostKernel(), Unread()
    wanted = sysctls(config)
    have = {name: kernel.module(name) for name in modules(config)}
    director = files.listening_process(config.director.runtime_dir / "control.sock")
    process = "self" if director is None else director
    links = config.node.uplinks or host.hardware()
    known, reasons = _known(config)
    backends = _ready(known)
    subnets = backend_subnets(backends, config.ipvs.route_probe_prefix_v4, config.ipvs.route_probe_prefix_v6)
    bird, bird_error = asyncio.run(_bird(config))
    serving = _serving(config, have, unread)
    return Facts(
        kernel=files.kernel_version(os.uname().release, os.uname().version),
        modules=have,
        ipvs=serving.ipvs,
        conn_tab_bits=host.conn_tab_bits(),
        wanted=wanted,
        settings=serving.settings,
        rp_filter=host.rp_filter(links),
        subnets=subnets,
        path_mtus=unread.or_else({}, lambda: _path_mtus(subnets)),
        min_path_mtu=config.ipvs.min_path_mtu,
        backends_unknown="" if backends else "; ".join(reasons) or "no service has a ready backend",
        nics=tuple(_nic(host, link, unread) for link in links),
        processors=os.cpu_count() or 1,
        bird=bird,
        bird_error=bird_error,
        capabilities=host.capabilities(process) or frozenset(),
        needed_capabilities=_needed(config),
        holder="this process" if director is None else f"the director (process {director})",
        secrets=_secrets(config, path),
        clock=files.clock(),
        places=_places(config),
        pools=config.networks,
        vip_link=config.ipvs.link,
        addresses=tuple(dict.fromkeys((*_addresses(unread), *serving.addresses))),
        listeners=serving.listeners,
        guard=serving.guard,
        guarded=serving.guarded,
        kube_proxy=unread.or_else(False, _kube_proxy),
        kube_proxy_vips=_inside(kube_proxy.taken(_services(known)), config.networks),
        unread=tuple(unread.texts),
    )


@dataclass(frozen=True, slots=True)
class _Serving:
    """What belongs to the network namespace in which VIPs are served."""

    ipvs: str
    settings: Mapping[str, str]
    addresses: tuple[OwnAddress, ...]
    listeners: tuple[Listener, ...]
    guard: str | None
    guarded: bool | None


def _serving(config: Config, have: Mapping[str, Module], unread: Unread) -> _Serving:
    """Read in the director's own namespace where it has one, else, and where that is closed to us, in this one."""

    def read() -> _Serving:
        return _Serving(
            _ipvs() if have[IPVS_MODULE] is Module.LOADED else "",
            HostKernel().read(each.key for each in IPVS_SYSCTLS),
            _addresses(unread),
            HostFiles().listeners(),
            _guard(unread) if config.guard.enabled else None,
            unread.or_else(None, lambda: net.guarded(TABLE)),
        )

    if config.director.netns is None:
        return read()
    try:
        with Namespace(NAMES / config.director.netns) as namespace:
            return namespace.run(read)
    except KernelError as error:
        unread.texts.append(str(error))
        return read()


def _addresses(unread: Unread) -> tuple[OwnAddress, ...]:
    return unread.or_else((), net.own_addresses)


def _needed(config: Config) -> frozenset[int]:
    """The capabilities without which a director of this configuration cannot work."""
    probing = {_NET_RAW} if config.checks.mode != "none" else set()
    entering = {_SYS_ADMIN} if config.director.netns is not None else set()
    return frozenset({_NET_ADMIN} | probing | entering)


def _ipvs() -> str:
    """Why IPVS cannot be used, empty where it can."""
    try:
        IpvsKernel().close()
    except KernelError as error:
        return str(error)
    return ""


def _guard(unread: Unread) -> str:
    """Why the guard cannot be used, empty where it can or where this process may not ask."""
    try:
        with GuardKernel() as guard:
            guard.read()
    except KernelError as error:
        if error.errno != errno.EPERM:
            return str(error)
        unread.texts.append(str(error))
    return ""


def _nic(host: HostFiles, link: str, unread: Unread) -> Nic:
    nic = host.nic(link)
    return unread.or_else(nic, lambda: net.with_features(nic))


def _path_mtus(subnets: frozenset[Network]) -> dict[Network, int]:
    with RouteKernel() as routes:
        return routes.path_mtus(subnets)


def _kube_proxy() -> bool:
    with VipKernel(KUBE_PROXY_LINK) as links:
        return links.exists(KUBE_PROXY_LINK)


async def _bird(config: Config) -> tuple[str, str]:
    """BIRD's version, or why there is none."""
    control = BirdControl(config.bird.control_socket, config.bird.timeout_s)
    try:
        return parse_status(await control.ask(SHOW_STATUS)).text, ""
    except BirdError as error:
        return "", error.message
    finally:
        control.close()


def _known(config: Config) -> tuple[list[Snapshot], list[str]]:
    """What the services files say and the last good state on disk, and why any of them cannot be read."""
    found: list[Snapshot] = []
    reasons: list[str] = []
    if config.sources.file is not None:
        try:
            found.append(read_directory(config.sources.file.path, config.ipvs.defaults()))
        except SourceError as error:
            reasons.append(str(error).replace("\n", "; "))
    if config.sources.kubernetes is not None:
        kept = config.director.state_dir / "snapshot.json"
        try:
            found += [each.snapshot for each in decode(kept.read_bytes(), config.networks).values()]
        except OSError as error:
            reasons.append(f"{kept}: {error.strerror}")
        except SourceError as error:
            reasons.append(f"{kept}: {error}")
    return found, reasons


def _services(snapshots: Iterable[Snapshot]) -> Iterator[DesiredService]:
    return (service for snapshot in snapshots for service in snapshot.services)


def _ready(snapshots: Iterable[Snapshot]) -> frozenset[Address]:
    found = _services(snapshots)
    return frozenset(backend.address for service in found for backend in service.backends if backend.ready)


def _inside(addresses: Iterable[Address], networks: Iterable[Network]) -> frozenset[Address]:
    pools = tuple(networks)
    return frozenset(each for each in addresses if any(each in pool for pool in pools))


def _places(config: Config) -> tuple[Place, ...]:
    return (
        files.place("director.state_dir", config.director.state_dir),
        files.place("director.runtime_dir", config.director.runtime_dir),
        files.place("bird.include_dir", config.bird.include_dir),
    )


def _secrets(config: Config, path: Path) -> tuple[SecretFile, ...]:
    """The files that hold passwords or credentials."""
    peers = [peer for peer in config.bgp.peers if peer.password is not None or peer.password_file is not None]
    found = {f"password_file of {peer.name}": peer.password_file for peer in peers if peer.password_file is not None}
    if any(peer.password_file is None for peer in peers):
        found["--config"] = path
    if config.bgp.manage == "full" and peers:
        found["bird.config_path"] = config.bird.config_path
    if config.sources.kubernetes is not None and config.sources.kubernetes.kubeconfig is not None:
        found["kubeconfig"] = config.sources.kubernetes.kubeconfig
    return files.secrets(found)
