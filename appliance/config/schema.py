"""The one schema of ``/etc/balanced/appliance.yaml``.

Every field's docstring gives its unit, its default's reason and how to disable it; docs/reference/configuration.md is
made from them. Values here are frozen and complete: whoever holds a Config needs no further checks.
"""

import socket
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic import model_validator as validator

from appliance.config import isolation, rules
from appliance.config.fields import (
    AbsolutePath,
    AsNumber,
    Community,
    ContextName,
    Flag,
    Fraction,
    GroupName,
    HoldTime,
    HostAddress,
    Int,
    InterfaceName,
    LabelSelector,
    ListenAddress,
    LoadBalancerClass,
    Namespace,
    NetnsName,
    NodeName,
    PairNetwork,
    PoolName,
    PoolNetwork,
    ProtocolName,
    RelativePath,
    RouterId,
    Seconds,
    Secret,
    SocketPath,
    refuse_all,
)
from appliance.config.ipam import Ipam, ipam_fits_node
from appliance.config.section import Section
from appliance.model.address import Network
from appliance.model.desired import ServiceDefaults
from appliance.model.service import IPIP, ServiceFlag

Scheduler = Literal[
    "mh", "sh", "dh", "rr", "wrr", "lc", "wlc", "sed", "nq", "lblc", "lblcr", "fo", "ovf", "twos"
]  # fmt: skip
Family = Literal["ipv4", "ipv6"]
SchedulerFlag = Literal["mh-fallback", "mh-port", "sh-fallback", "sh-port"]

_FLAGS = {
    "mh-fallback": ServiceFlag.SCHEDULER_1,
    "mh-port": ServiceFlag.SCHEDULER_2,
    "sh-fallback": ServiceFlag.SCHEDULER_1,
    "sh-port": ServiceFlag.SCHEDULER_2,
}


class Node(Section):
    """This machine."""

    name: NodeName = Field(default_factory=socket.gethostname, validate_default=True)
    """Name of this node in log lines and status. Default: the host name."""

    router_id: RouterId = Field(examples=["10.0.0.11"])
    """BGP identifier of this node, an IPv4 address that no other router uses (RFC 6286). Required: a guessed one would
    change with the addresses of the machine and restart every session."""

    uplinks: tuple[InterfaceName, ...] = Field(default=(), max_length=16, examples=[["eth0", "eth1"]])
    """Interfaces towards the routers and the backends. Default: none named, BIRD looks at all interfaces."""


class Pool(Section):
    """Networks that virtual addresses (VIPs) may come from. Nothing outside the pools is ever touched or announced."""

    name: PoolName = Field(examples=["public"])
    """Name of the pool: small letters, digits and dashes."""

    cidrs: tuple[PoolNetwork, ...] = Field(min_length=1, max_length=64, examples=[["10.50.0.0/24", "2001:db8:50::/64"]])
    """Networks of the pool, IPv4 and IPv6, without host bits. No two networks of any pools may overlap."""


class FileSourceConfig(Section):
    """Services from a directory of YAML files: Kubernetes manifests or the short native form."""

    path: RelativePath = Field(examples=["services"])
    """The directory; a relative path starts at the directory of this configuration file."""


class KubernetesSourceConfig(Section):
    """Services of type LoadBalancer of a cluster, and their endpoints. See docs/kubernetes.md for the rights needed."""

    kubeconfig: RelativePath | None = Field(default=None, examples=["/etc/balanced/kubeconfig"])
    """Kubeconfig file; a relative path starts at the directory of this configuration file. It is read again, with all
    files that it names, for each connection. Default: none, the service account of the pod that this runs in."""

    context: ContextName | None = Field(default=None, examples=["production"])
    """Context of the kubeconfig. Default: its current-context."""

    namespaces: tuple[Namespace, ...] = Field(default=(), max_length=100, examples=[["web", "mail"]])
    """Namespaces to follow, each with two watches of its own. Default: none named, all of them with two in all."""

    label_selector: LabelSelector = Field(default="", examples=["tier=public"])
    """Label selector of the Services that are ours, as for kubectl -l. Default: all. Their endpoints follow them."""

    load_balancer_classes: tuple[LoadBalancerClass, ...] = Field(
        default=("",), min_length=1, max_length=16, examples=[["", "example.com/balanced"]]
    )
    """Values of spec.loadBalancerClass of the Services that are ours; "" stands for those without a class. Default:
    only those without, because a Service with a class belongs to that implementation alone."""

    events: Flag = True
    """Whether Events on the Services tell what happens to them here: created, announced, withdrawn and why, refused.
    They need the right to create and patch events. Default true; false disables them."""

    watch_timeout_s: Seconds = Field(default=120.0, ge=5, le=3600)
    """Longest life of a watch in seconds; then it is taken up anew, and one that lasts 15 s longer counts as broken.
    Default 120: a connection that died in silence is found within that time. It cannot be disabled."""

    max_retry_s: Seconds = Field(default=30.0, ge=1, le=600)
    """Longest pause in seconds between two attempts to reach an API server that does not answer; it begins with 1 and
    doubles. Default 30."""


class Sources(Section):
    """Where services come from. At least one source is needed."""

    file: FileSourceConfig | None = Field(default=None, examples=[{"path": "services"}])
    """A directory of files. Default: none. Leave it out to disable this source."""

    kubernetes: KubernetesSourceConfig | None = Field(default=None, examples=[{"kubeconfig": "kubeconfig"}])
    """A cluster. Default: none. Leave it out to disable this source."""

    @validator(mode="after")
    def _at_least_one(self) -> Self:
        refuse_all(rules.some_source(self))
        return self


class Ipvs(Section):
    """Virtual services in the kernel."""

    scheduler: Scheduler = "mh"
    """Scheduler of services that name none. Default mh (Maglev hashing): every node sends a flow to the same backend,
    so that a route change does not break connections. Any other but sh and dh gives that up."""

    scheduler_flags: tuple[SchedulerFlag, ...] | None = Field(default=None, max_length=4)
    """Flags of the default scheduler: mh-fallback (a client of a draining backend moves on instead of being dropped)
    and mh-port (the client's port is hashed too, so that clients behind one address spread). Default: both for mh,
    none for others. An empty list sets none."""

    forwarding: Annotated[Literal["tunnel"], BeforeValidator(rules.only_tunnel)] = "tunnel"
    """How packets get to a backend. Only tunnel (IPIP): backends may stand in any subnet and answer the client
    directly."""

    drain_time_s: Seconds = Field(default=60.0, ge=0, le=86400)
    """Seconds that a vanished backend is kept at weight 0, so that its connections can end. Default 60. 0 deletes it at
    once."""

    link: InterfaceName = "dummy-vip-if"
    """The dummy interface that carries the VIPs; it is created when missing. Everything on it that is inside a pool
    belongs to the appliance. Default dummy-vip-if."""

    route_probe_prefix_v4: Int = Field(default=24, ge=8, le=32)
    """Prefix length in bits by which IPv4 backends are grouped; one route lookup for each group proves that this node
    reaches them. Default 24. 32 looks up every backend."""

    route_probe_prefix_v6: Int = Field(default=64, ge=16, le=128)
    """The same for IPv6 backends. Default 64. 128 looks up every backend."""

    min_path_mtu: Int | None = Field(default=1500, ge=576, le=65535)
    """Size in bytes of the packets, tunnel header included, that the way to the backends must take: the largest that
    clients send and the header before it (IPIP 20 bytes, GRE 24 or with csum 28, GUE 32 or with remcsum 40; 20 more
    towards IPv6 backends). Where it takes less, no VIP is announced that is not yet. Default 1500: backends on links of
    that size, which ask clients for segments that leave room for the header. null disables it."""

    @validator(mode="after")
    def _flags_fit(self) -> Self:
        refuse_all(rules.flags_fit(self))
        return self

    def defaults(self) -> ServiceDefaults:
        """What a service gets where its own definition says nothing."""
        names: tuple[str, ...] = self.scheduler_flags or ()
        if self.scheduler_flags is None and self.scheduler == "mh":
            names = ("mh-fallback", "mh-port")
        flags = ServiceFlag.NONE
        for name in names:
            flags |= _FLAGS[name]
        return ServiceDefaults(self.scheduler, flags, IPIP)


class Damping(Section):
    """A flapping VIP is announced again later and later: after 1, 2, 4 ... seconds. A withdrawal is never delayed."""

    free_flaps: Int = Field(default=1, ge=0, le=1000)
    """Number of withdrawals that cost no waiting. Default 1, so that a single repair is not punished. 1000 disables
    damping in practice."""

    initial_s: Seconds = Field(default=1.0, ge=0, le=3600)
    """Seconds to wait before the first damped announcement; each further withdrawal doubles it. Default 1. 0 disables
    damping."""

    max_s: Seconds = Field(default=60.0, ge=0, le=3600)
    """Longest wait in seconds. Default 60."""

    forget_s: Seconds = Field(default=120.0, ge=1, le=86400)
    """Seconds without a withdrawal after which all is forgotten; more than max_s. Default 120, twice the longest
    wait."""

    @validator(mode="after")
    def _ordered(self) -> Self:
        refuse_all(rules.damping_ordered(self))
        return self


class Gate(Section):
    """When a VIP is announced and withdrawn."""

    rise: Int = Field(default=3, ge=1, le=100)
    """How many times in a row the kernel must be read back correct before a VIP is announced. Default 3."""

    min_backends: Int = Field(default=1, ge=1, le=1000)
    """Least number of ready backends for which a service counts as served. Default 1. It cannot be disabled: a VIP
    without a backend is never announced."""

    proof_interval_s: Seconds = Field(default=0.2, ge=0.05, le=60)
    """Seconds between two proofs of a VIP that is not announced yet. Default 0.2, so that rise takes under a second."""

    settle_s: Seconds = Field(default=2.0, ge=0, le=300)
    """Seconds between BIRD seen not exporting a VIP and the removal of its services and address: the time in which
    routers may still send. Default 2. 0 removes at once, which loses packets."""

    drain_timeout_s: Seconds = Field(default=30.0, ge=0, le=3600)
    """Longest time in seconds that a drained VIP is still announced, de-preferred, while new connections come. Without
    any it is withdrawn after settle_s. Default 30: routers need a second, but where no other node announces the VIP the
    clients go on coming."""

    damping: Damping = Damping()
    """How long a flapping VIP waits."""


class Brake(Section):
    """When a list that lacks most of what is in force is doubted: what it lacks is withheld, everything else applies.

    A list is the first word of a cluster, its word after an interruption, or any reading of a directory. What is
    withheld stays as it was until the loss has lasted, until `balanced confirm`, or until the source names it again.
    What goes by single events is never withheld.
    """

    max_withdraw_fraction: Fraction = 0.5
    """Share of a source's VIPs, 0 to 1, above which their loss in one list is doubted. Default 0.5. A list without any
    service is doubted in any case. 1 disables the brake."""

    min_vips: Int = Field(default=3, ge=1, le=100000)
    """Least number of VIPs whose loss in one list is doubted. Default 3: one Service has two, IPv4 and IPv6, and
    removing one Service is everyday work."""

    confirm_after_s: Seconds = Field(default=300.0, ge=0, le=86400)
    """Seconds after which a loss that the source still tells is believed. Default 300: time for an API server to come
    to itself, or for a person to look. 0 disables the brake."""


class Guard(Section):
    """What of a VIP can be reached: the ports of its services and ICMP. An nftables table, `inet balanced`."""

    enabled: Flag = True
    """Whether the VIPs are guarded. Default true; it needs a kernel with nf_tables and the package libnftables1, and
    without these nothing is announced. With false the table is removed: whatever listens on all addresses of the node
    answers on the VIPs too, and nothing enforces source ranges and limits of new flows."""

    refusal: Literal["drop", "reject"] = "drop"
    """What becomes of other packets to a VIP: drop in silence, or reject with a TCP reset or ICMP port unreachable, up
    to 1,000 a second. Default drop: nobody learns from answers. What goes to a pool address that no service uses is
    dropped in either case."""


class Peer(Section):
    """A BGP session to a router."""

    address: HostAddress = Field(examples=["10.0.0.1"])
    """Address of the router, IPv4 or IPv6."""

    name: ProtocolName = Field(default_factory=rules.peer_name, max_length=31)
    """Name of the session in BIRD and status: a small letter, then small letters, digits and _, 31 at most. Default:
    made from the address, so that adding a peer renames (and restarts) no other. May be left out."""

    as_number: AsNumber = Field(validation_alias="as", serialization_alias="as", examples=[64500])
    """AS number of the router, 1 to 4294967295, in the configuration under the key `as`. Equal to local_as
    for an internal session."""

    families: Annotated[tuple[Family, ...], AfterValidator(rules.distinct_families)] = Field(
        default_factory=rules.own_family, min_length=1, examples=[["ipv4", "ipv6"]]
    )
    """Whose VIPs the session carries: ipv4, ipv6 or both. Default: the family of address. The router must speak a
    family that is not the session's own (RFC 4760; for IPv4 over an IPv6 session RFC 8950 too)."""

    password: Secret | None = Field(default=None, examples=["EXAMPLE"])
    """Shared secret of the session (TCP MD5, RFC 2385), 1 to 80 printable ASCII characters without spaces, quotes and
    backslashes. Default: none. It is never printed. Prefer password_file."""

    password_file: RelativePath | None = Field(default=None, examples=["/etc/balanced/tor1.password"])
    """File whose first line is the password; a relative path starts at the directory of this configuration file.
    Default: none."""

    multihop: Int | None = Field(default=None, ge=1, le=255)
    """Number of hops (TTL) to a router that is not on a shared link. Default: none, the router is a direct
    neighbour."""

    bfd: Flag = True
    """Whether BFD (RFC 5880) watches the path to the router. Default true: a hung node loses its routes in 0.3 s
    instead of the hold time. The router must speak it too; false disables it."""

    hold_time_s: HoldTime = 30
    """Seconds without a message after which the session is down: 3 to 65535. Default 30; BIRD's own 240 would keep the
    routes of a hung node for four minutes. 0 disables keepalives, so only BFD and TCP notice a dead peer."""

    source_address: HostAddress | None = Field(default=None, examples=["10.0.0.11"])
    """Address of this node that the session uses, of the same family as address. Default: none, BIRD chooses."""

    @validator(mode="after")
    def _consistent(self) -> Self:
        refuse_all(rules.peer_consistent(self))
        return self

    @property
    def versions(self) -> frozenset[int]:
        """IP versions of the VIPs that the session carries."""
        return frozenset(int(family.removeprefix("ipv")) for family in self.families)


class Deprefer(Section):
    """How routes of a node that is to be avoided look; they always carry the community 65535:0 (RFC 8326) too."""

    prepend: Int = Field(default=3, ge=0, le=10)
    """How many times local_as is put in front of the AS path once more. Default 3, more than paths of one network
    differ by. 0 disables it. A router with this node's own AS number gets local preference 0 instead, for it would
    drop a path with its own AS number."""

    med: Int | None = Field(default=4294967294, ge=0, le=4294967295)
    """Multi-exit discriminator of such a route, above the usual one. Default 4294967294, the highest that every router
    takes for a number like others. null leaves the usual one."""


class Bgp(Section):
    """Announcing."""

    local_as: AsNumber = Field(examples=[64512])
    """AS number of this node, 1 to 4294967295."""

    peers: Annotated[tuple[Peer, ...], AfterValidator(rules.distinct_peers)] = Field(
        default=(), max_length=32, examples=[[{"address": "10.0.0.1", "as": 64500}]]
    )
    """The routers, up to 32, of both address families. At least one is needed where manage is full."""

    communities: tuple[Community, ...] = Field(default=(), max_length=32, examples=[["64512:100", "64512:1:2"]])
    """Communities on every announced VIP: AS:VALUE (RFC 1997) or AS:VALUE:VALUE (large, RFC 8092), up to 32. All nodes
    must send the same, otherwise routers do not spread over them. Default: none."""

    med: Int | None = Field(default=None, ge=0, le=4294967295)
    """Multi-exit discriminator of every announced VIP; routers prefer the lowest. Default: none is sent."""

    deprefer: Deprefer = Deprefer()
    """What makes a route of this node the worse one."""

    manage: Literal["full", "include"] = "full"
    """full: the appliance owns bird.conf and writes it whole. include: bird.conf is the operator's and includes what
    the appliance writes to bird.include_dir; the sessions, and the filter that lets only the pools out, are then the
    operator's too. Default full, because the appliance's own filter is part of what it promises."""

    @validator(mode="after")
    def _has_peers(self) -> Self:
        refuse_all([*rules.some_peer(self), *rules.deprefer_differs(self)])
        return self


class Checks(Section):
    """Probes of backends by this node itself: a TCP handshake that is never finished, sent as clients' packets are."""

    mode: Literal["none", "tunnel"] = "none"
    """tunnel: each TCP service is probed at each of its backends, through the tunnel, at the VIP; needs CAP_NET_RAW.
    none: a backend counts as its source says. Default none: every node probes every backend, which is load that only
    you can judge, and servers have to let answers to this node's own address pass."""

    interval_s: Seconds = Field(default=1.0, ge=0.1, le=300)
    """Seconds between two probes of one backend for one service. Default 1."""

    timeout_s: Seconds = Field(default=0.5, ge=0.02, le=300)
    """Seconds that an answer may take, not above interval_s. Default 0.5: within a site it takes a few milliseconds."""

    retry_s: Seconds = Field(default=0.1, ge=0.02, le=300)
    """Seconds between two probes of one backend once one has failed that was well, not above interval_s: all are asked
    fall - 1 times at this pace, within max_probes_per_s, at most a fifth of the time. Default 0.1. The same as
    interval_s makes no difference."""

    rise: Int = Field(default=2, ge=1, le=100)
    """How many answers in a row bring a failing backend back. Default 2."""

    fall: Int = Field(default=3, ge=2, le=100)
    """How many failures in a row take a backend out: weight 0. Default 3, because single packets get lost. At least 2:
    by the first failure of all the others it is seen that the prober is broken, not the backends."""

    max_probes_per_s: Int = Field(default=1000, ge=1, le=20000)
    """Most probes a second of this node. With more backends the interval grows for all of them alike; the status shows
    what came of it. Default 1000, which takes a few per cent of a processor."""

    max_lost_fraction: Fraction = 0.5
    """Share of the probed VIPs, 0 to 1, above which the prober is suspected instead of the backends when they lose
    their last one within 10 s: then nothing is taken out. Default 0.5. Of one or two VIPs it is never suspected. 1
    disables the suspicion."""

    @validator(mode="after")
    def _answers_first(self) -> Self:
        refuse_all(rules.answer_within_interval(self) + rules.retry_within_interval(self))
        return self


class Bird(Section):
    """How to reach the BIRD daemon."""

    control_socket: SocketPath = Field(default="/run/bird/bird.ctl", validate_default=True)
    """BIRD's control socket. Default: that of Debian's package."""

    config_path: AbsolutePath = Field(default="/etc/bird/bird.conf", validate_default=True)
    """BIRD's main configuration file, written where bgp.manage is full. Default: that of Debian's package."""

    include_dir: AbsolutePath = Field(default="/run/balanced/bird", validate_default=True)
    """Directory of the files that hold the announced VIPs. Default below /run: it is empty after a reboot, so a booting
    node announces nothing."""

    timeout_s: Seconds = Field(default=2.0, ge=0.1, le=60)
    """Seconds that BIRD may take for one answer. Default 2: a hung BIRD must not stop the director."""

    confirm_timeout_s: Int = Field(default=10, ge=2, le=3600)
    """Whole seconds after which BIRD undoes a new configuration that was not confirmed. Default 10."""

    min_reconfigure_interval_s: Seconds = Field(default=1.0, ge=0, le=60)
    """Least time in seconds between two reconfigurations; changes in between are put together, the first is not
    delayed. Default 1. 0 disables it."""

    @validator(mode="after")
    def _patient(self) -> Self:
        refuse_all(rules.confirm_outlasts_answer(self))
        return self


class Director(Section):
    """The daemon."""

    runtime_dir: SocketPath = Field(default="/run/balanced", validate_default=True)
    """Directory of the control socket and the lock; gone after a reboot. Default /run/balanced."""

    state_dir: AbsolutePath = Field(default="/var/lib/balanced", validate_default=True)
    """Directory of what must outlast a reboot. Default /var/lib/balanced."""

    resync_s: Seconds = Field(default=5.0, ge=0.5, le=300)
    """Seconds between two full comparisons of the kernel and BIRD with what they should hold. Default 5; it bounds how
    long a hand-made change can stand, unless one comparison takes more processor time than 1.25 % of this: then they
    move apart, at most six times. It cannot be disabled."""

    canary_s: Seconds = Field(default=0.5, ge=0.1, le=60)
    """Seconds between two cheap looks at a few services, others each time, which find a flushed table. Default 0.5. It
    cannot be disabled, and must not be above resync_s."""

    cold_start_grace_s: Seconds = Field(default=10.0, ge=0, le=3600)
    """Seconds that a source may take for its first word after a start. Then what it said last, which is kept in
    state_dir, stands in for it until it speaks, and the status is degraded. Default 10, more than a large cluster takes
    for its lists. 0 begins with the kept state at once."""

    on_stop: Literal["deprefer", "withdraw", "hold"] = "deprefer"
    """What becomes of the routes when the director is stopped. deprefer: they stay, marked so that routers use other
    nodes while there are any (nobody vouches for this one). withdraw: they go. hold: they stay as they are, for one who
    stops it for a moment. Default deprefer."""

    on_director_lost: Literal["deprefer", "withdraw", "hold"] = "deprefer"
    """What becomes of the routes when the director ends again and again, or hangs, and systemd gives it up. As on_stop:
    deprefer, withdraw or hold. Default deprefer, so that a bad release on every node loses nobody's traffic. It needs
    the unit balanced-last-will.service, and holds from the next start or reload of a director."""

    control_group: GroupName | None = Field(default=None, examples=["balanced"])
    """Group that may use the control socket. Default: none, root only."""

    netns: NetnsName | None = Field(default=None, examples=["lvs"])
    """Network namespace for IPVS, VIPs and guard, named as by `ip netns`; it is made when missing. What listens on the
    host is then not reachable on a VIP. It needs netns_networks, node.uplinks and CAP_SYS_ADMIN; docs/user-guide.md has
    its price. Default: none, everything stands on the host. It cannot be changed by a reload."""

    netns_networks: tuple[PairNetwork, ...] = Field(
        default=(), max_length=2, examples=[["10.9.0.10/31", "2001:db8:9::10/127"]]
    )
    """The two ends of the way into the namespace: one /31 or /30 for IPv4, one /127 or /126 for IPv6. The host takes
    the first address, the namespace the second, from which tunnel packets go out: another network on each node, which
    routers send to the node. Default: none, which netns does not go with."""

    @validator(mode="after")
    def _canary_first(self) -> Self:
        refuse_all(rules.canary_within_resync(self))
        return self


class Telemetry(Section):
    """Metrics for Prometheus and answers for probes, over HTTP. Anyone who reaches the ports may ask."""

    address: ListenAddress = Field(default="127.0.0.1", validate_default=True, examples=["10.0.0.11"])
    """Address of this node to listen on. Default 127.0.0.1: this machine only. 0.0.0.0 or :: stands for all of its
    addresses, and that are the VIPs too: filter the ports then. An address inside a pool is refused."""

    metrics_port: Int | None = Field(default=8123, ge=1, le=65535)
    """TCP port of /metrics. Default 8123. null disables it."""

    health_port: Int | None = Field(default=8124, ge=1, le=65535)
    """TCP port of /healthz, /readyz and /checks, another than metrics_port. Default 8124. null disables it."""

    destinations: Flag = True
    """Whether /metrics counts each backend of each service: 13 series for each. Default true, as BalanceD does. false
    makes answers 10 to 20 times smaller where services have many backends."""

    unhealthy_after_s: Seconds = Field(default=60.0, ge=5, le=3600)
    """Seconds without a completed pass after which /healthz answers 500, more than director.resync_s. Default 60: a
    pass over a large table that was lost may take many seconds. It cannot be disabled."""

    @validator(mode="after")
    def _ports_differ(self) -> Self:
        refuse_all(rules.ports_differ(self))
        return self


class Config(Section):
    """The whole configuration of a node."""

    node: Node = Field(examples=[{"router_id": "10.0.0.11"}])
    """This machine."""

    pools: Annotated[tuple[Pool, ...], AfterValidator(rules.distinct_pools)] = Field(
        min_length=1, max_length=64, examples=[[{"name": "public", "cidrs": ["10.50.0.0/24"]}]]
    )
    """Networks that VIPs may come from, up to 64 pools."""

    sources: Sources = Field(examples=[{"file": {"path": "services"}}])
    """Where services come from."""

    ipvs: Ipvs = Ipvs()
    """Virtual services in the kernel."""

    gate: Gate = Gate()
    """When a VIP is announced and withdrawn."""

    checks: Checks = Checks()
    """Probes of backends."""

    brake: Brake = Brake()
    """When a loss is doubted before it is obeyed."""

    guard: Guard = Guard()
    """What of a VIP can be reached."""

    bgp: Bgp = Field(examples=[{"local_as": 64512, "peers": [{"address": "10.0.0.1", "as": 64500}]}])
    """Announcing."""

    bird: Bird = Bird()
    """How to reach the BIRD daemon."""

    director: Director = Director()
    """The daemon."""

    telemetry: Telemetry = Telemetry()
    """Metrics for Prometheus and answers for probes."""

    ipam: Ipam | None = Field(default=None, examples=[{"pools": [{"name": "public", "addresses": ["10.50.0.0/24"]}]}])
    """The allocator. A director has no use for it; here it is checked against the rest of the file. Default: none."""

    @field_validator("pools", mode="after")
    @classmethod
    def _pools_fit_node(cls, pools: tuple[Pool, ...], info: ValidationInfo) -> tuple[Pool, ...]:
        values: dict[str, Any] = info.data
        refuse_all(rules.router_outside_pools(values.get("node"), pools))
        return pools

    @field_validator("director", mode="after")
    @classmethod
    def _isolation_complete(cls, director: Director, info: ValidationInfo) -> Director:
        values: dict[str, Any] = info.data
        refuse_all(isolation.isolation_complete(director, values.get("node"), values.get("pools", ())))
        return director

    @field_validator("telemetry", mode="after")
    @classmethod
    def _telemetry_fits(cls, telemetry: Telemetry, info: ValidationInfo) -> Telemetry:
        values: dict[str, Any] = info.data
        refuse_all(
            [
                *rules.listens_outside_pools(telemetry, values.get("pools", ())),
                *rules.unhealthy_after_resync(telemetry, values.get("director")),
            ]
        )
        return telemetry

    @field_validator("bgp", mode="after")
    @classmethod
    def _peers_fit_pools(cls, bgp: Bgp, info: ValidationInfo) -> Bgp:
        values: dict[str, Any] = info.data
        pools = values.get("pools", ())
        refuse_all([*rules.peers_outside_pools(bgp, pools), *rules.families_have_pools(bgp, pools)])
        return bgp

    @field_validator("ipam", mode="after")
    @classmethod
    def _ipam_fits(cls, ipam: Ipam | None, info: ValidationInfo) -> Ipam | None:
        values: dict[str, Any] = info.data
        if ipam is not None:
            refuse_all(ipam_fits_node(ipam, values.get("pools", ()), values.get("bgp"), values.get("telemetry")))
        return ipam

    @property
    def networks(self) -> tuple[Network, ...]:
        """Every network of every pool, in the order in which they are written."""
        return tuple(network for pool in self.pools for network in pool.cidrs)


class IpamFile(Section):
    """A configuration of the allocator alone."""

    ipam: Ipam
    """The allocator."""
