"""What should be served, as the sources say it."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from appliance.model.address import Address, Network, address_order
from appliance.model.service import IPIP, ServiceFlag, ServiceKey, Tunnel


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to say about the input.

    ``where`` names the place (``web.yaml:12``, ``service default/web``), ``what`` the value and what is wrong with it,
    ``remedy`` what to write or do instead. ``owner`` is the service that it is about (``default/web``), if any;
    with ``in_cluster`` that is a Service in a cluster, and whoever wrote it may be anybody, not the operator.
    """

    where: str
    what: str
    remedy: str = ""
    owner: str = field(default="", compare=False)
    in_cluster: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text} ({self.remedy})" if self.remedy else text


@dataclass(frozen=True, slots=True)
class Problem(Remark):
    """Something in the input that is refused; everything else goes on."""


@dataclass(frozen=True, slots=True)
class Note(Remark):
    """Something in the input that is taken otherwise than it is written; nothing is refused."""


class Announce(enum.Enum):
    """What a service asks of ready backends before its VIP may be announced.

    ANY: one service of the VIP that has enough will do. ALL: this very service must have enough. ALWAYS: the VIP may be
    announced although no backend is ready.
    """

    ANY = "any"
    ALL = "all"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Backend:
    """One real server of a service. ``weight`` counts only while ``ready``; otherwise the kernel gets weight 0.

    ``target`` is the name of what stands behind the address where the source knows it, and ``is_pod`` whether that is a
    pod: for metrics, no part of what it is.
    """

    address: Address
    weight: int = 1
    ready: bool = True
    target: str = field(default="", compare=False)
    is_pod: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class ServiceDefaults:
    """What a service gets where its own definition says nothing."""

    scheduler: str = "mh"
    flags: ServiceFlag = ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2
    tunnel: Tunnel = IPIP


@dataclass(frozen=True, slots=True)
class DesiredService:
    """One virtual service that should stand in the kernel.

    The destination port is the service's port: direct server return rewrites nothing. ``backends`` hold each address
    once, in canonical order. ``owner`` is who asked for it, in words an operator knows (``default/web``); ``origin`` is
    the place where it is written (``web.yaml:12``), which is no part of what it is. ``persistence_s`` counts only with
    ServiceFlag.PERSISTENT. ``drain_s`` is how long a vanished backend drains, in seconds; None for the node's own time.
    Only clients in ``source_ranges`` get through to it, all where there are none; with ranges of one IP version alone,
    none of the other. They are canonical (``canonical_networks``). ``new_flows_per_s`` is how many new flows each VIP
    of the owner takes a second on this node; None for any number. With ``kube_proxy_too`` a kube-proxy on this node
    would take packets for the VIP itself (ipMode is not Proxy, KEP-1860).
    """

    key: ServiceKey
    owner: str
    scheduler: str
    flags: ServiceFlag = ServiceFlag.NONE
    tunnel: Tunnel = IPIP
    backends: tuple[Backend, ...] = ()
    persistence_s: int = 0
    announce: Announce = Announce.ANY
    drain_s: float | None = None
    source_ranges: tuple[Network, ...] = ()
    new_flows_per_s: int | None = None
    kube_proxy_too: bool = False
    origin: str = field(default="", compare=False)

    @property
    def ready(self) -> int:
        """How many backends take new connections."""
        return sum(1 for backend in self.backends if backend.ready and backend.weight > 0)


def canonical(backends: Iterable[Backend]) -> tuple[Backend, ...]:
    """The backends in the order in which every director stores them (I9)."""
    return tuple(sorted(backends, key=lambda backend: address_order(backend.address)))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one source says at one moment: complete or not made at all.

    ``services`` are in the source's own order of precedence (of two claims to one VIP:port the first is the older).
    ``problems`` are parts that the source had to refuse, ``notes`` are those that it took otherwise than written.
    ``seen_s`` is when the source heard of the first thing that is new in it, on the director's clock; None is now.
    ``listed`` says that it was made from a list: what it lacks was left out, and nobody said that it went.
    """

    source: str
    services: tuple[DesiredService, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()
    seen_s: float | None = field(default=None, compare=False)
    listed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Desired:
    """The merged desired state of this node: every service inside our pools, each key once."""

    services: Mapping[ServiceKey, DesiredService] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def vips(self) -> frozenset[Address]:
        """Every VIP that at least one service wants."""
        return frozenset(key.vip for key in self.services)
