"""This host beside IPVS and links: the settings that we want of it, and what `balanced doctor` reads of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from appliance.model.address import Address, Network


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting that we want; ``key`` is its path below /proc/sys.

    A host that already has one of ``also_good`` is left as it is.
    """

    key: str
    value: str
    reason: str
    also_good: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A kernel setting that is to be changed, or was: for the log and for whoever wants it back."""

    key: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.key}: {self.old} -> {self.new}"


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of changes: those that were made, and why the others could not be.

    ``unrecorded`` is why the old values could not be kept on disk, empty where they were.
    """

    made: tuple[Change, ...] = ()
    refused: Mapping[Change, str] = field(default_factory=dict)
    unrecorded: str = ""


class Module(Enum):
    """What this kernel has of a module."""

    LOADED = "loaded"
    ON_DISK = "not loaded"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """An address of this node with the network that it stands in, and its link."""

    address: Address
    network: Network
    link: str


@dataclass(frozen=True, slots=True)
class Nic:
    """A link of hardware, or one that looks so. What the driver does not tell is None.

    ``rx_queues`` are those that the link has, ``spread`` is whether their packets are spread over processors (RPS).
    ``rx_ring`` and ``rx_ring_max`` are packets.
    """

    name: str
    lro: bool | None = None
    rx_queues: int = 1
    spread: bool = False
    rx_ring: int | None = None
    rx_ring_max: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that the director writes to; ``key`` is where the configuration names it.

    ``free_inodes`` is None on a file system that does not count them.
    """

    key: str
    path: Path
    exists: bool
    writable: bool = False
    free_bytes: int = 0
    free_inodes: int | None = None


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file with a secret in it; ``mode`` are its permission bits."""

    key: str
    path: Path
    mode: int


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port that is listened to on all addresses of an IP version."""

    version: int
    port: int


@dataclass(frozen=True, slots=True)
class Clock:
    """Whether the kernel's clock is kept right by somebody, None where the kernel does not say."""

    synchronised: bool | None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the preflight judges by; its defaults are a host with nothing wrong and nothing known.

    ``kernel`` is the version of the kernel, three numbers; ``ipvs`` is why IPVS cannot be used, empty where it can or
    is not loaded. ``settings`` are those of ``wanted`` that the kernel has. ``guard`` is why the VIPs' guard cannot be
    used, empty where it can, None where it is disabled; ``guarded`` is whether its table stands, None where that could
    not be asked; ``unread`` is what else could not be read.
    ``rp_filter`` is the filter in effect on each link that traffic comes in by. ``subnets`` hold the backends that are
    known, ``path_mtus`` what fits the way to them; ``backends_unknown`` is why none are. ``bird`` is its version,
    ``bird_error`` why there is none. ``capabilities`` are the effective ones of ``holder``, by number. ``kube_proxy``
    is whether one in IPVS mode is here, ``kube_proxy_vips`` are the known VIPs that it takes for its own.
    """

    kernel: tuple[int, int, int]
    modules: Mapping[str, Module] = field(default_factory=dict)
    ipvs: str = ""
    conn_tab_bits: int | None = None
    wanted: tuple[Sysctl, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    rp_filter: Mapping[str, int] = field(default_factory=dict)
    subnets: frozenset[Network] = frozenset()
    path_mtus: Mapping[Network, int] = field(default_factory=dict)
    min_path_mtu: int | None = None
    backends_unknown: str = ""
    nics: tuple[Nic, ...] = ()
    processors: int = 1
    bird: str = ""
    bird_error: str = ""
    capabilities: frozenset[int] = frozenset()
    needed_capabilities: frozenset[int] = frozenset()
    holder: str = "this process"
    secrets: tuple[SecretFile, ...] = ()
    clock: Clock = Clock(None)
    places: tuple[Place, ...] = ()
    pools: tuple[Network, ...] = ()
    vip_link: str = ""
    addresses: tuple[OwnAddress, ...] = ()
    listeners: tuple[Listener, ...] = ()
    guard: str | None = ""
    guarded: bool | None = None
    kube_proxy: bool = False
    kube_proxy_vips: frozenset[Address] = frozenset()
    unread: tuple[str, ...] = ()
