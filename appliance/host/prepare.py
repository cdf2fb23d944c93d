"""What a director's host must look like, as data with reasons, and the difference to what it looks like: no I/O."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from appliance.config.schema import Config
from appliance.decide.expect import LOADING_SCHEDULER
from appliance.model.desired import Problem
from appliance.model.host import Change, Sysctl

IPVS_MODULE = "ip_vs"


@dataclass(frozen=True, slots=True)
class LoadedModules:
    """The modules that were loaded now, and those that cannot be had though the node can run without them."""

    loaded: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


# Facts from Documentation/networking/ipvs-sysctl.rst and, where that is silent, from ip_vs_core.c and ip_vs_ctl.c.
IPVS_SYSCTLS = (
    Sysctl("net/ipv4/vs/conntrack", "0", "tracking each packet costs as much as balancing it, and DSR needs none"),
    Sysctl("net/ipv4/vs/sloppy_tcp", "1", "a flow that ECMP moves here in its middle goes on to the same server"),
    Sysctl("net/ipv4/vs/conn_reuse_mode", "1", "a client port used again is scheduled anew, not stuck to a dead flow"),
    Sysctl("net/ipv4/vs/expire_nodest_conn", "1", "flows of a removed backend are reset, not dropped in silence"),
    Sysctl("net/ipv4/vs/expire_quiescent_template", "1", "persistence must not hold new flows on a draining backend"),
    Sysctl("net/ipv4/vs/schedule_icmp", "1", "a path-MTU error reaches the right server through any director"),
    Sysctl("net/ipv4/vs/pmtu_disc", "1", "senders learn that the tunnel takes 20 bytes instead of losing packets"),
    Sysctl("net/ipv4/vs/ignore_tunneled", "0", "that loop guard is for a director that is a real server as well"),
    Sysctl("net/ipv4/vs/drop_entry", "1", "under memory pressure half-open connections go before whole ones"),
    Sysctl("net/ipv4/vs/drop_packet", "0", "the director drops no packet to save itself"),
    Sysctl("net/ipv4/vs/secure_tcp", "0", "its shorter time-outs cut connections that DSR shows only from one side"),
)


def uplink_sysctls(uplinks: Iterable[str]) -> tuple[Sysctl, ...]:
    """Settings of the links that traffic comes in by.

    The strict reverse-path filter (1) drops a client's packet that ECMP brought in by another link than the one back to
    the client. The kernel applies the larger of this value and ``all``, so 2 (loose) lifts a strict ``all`` too.
    A filter that is off stays off: even the loose one drops clients that this node has no route to, and a director,
    which answers no client, needs none.
    """
    reason = "ECMP may bring a client in by another link than the way back"
    return tuple(Sysctl(f"net/ipv4/conf/{name}/rp_filter", "2", reason, also_good=("0",)) for name in uplinks)


def wanted_modules(schedulers: Collection[str], *, ipv6: bool) -> tuple[str, ...]:
    """Kernel modules in the order in which to load them; without the first, IPVS itself, nothing works."""
    return (
        IPVS_MODULE,
        *(f"{IPVS_MODULE}_{scheduler}" for scheduler in sorted(schedulers)),
        "ipip",
        *(("ip6_tunnel",) if ipv6 else ()),
        "dummy",
    )


def modules(config: Config) -> tuple[str, ...]:
    """The kernel modules that a director of this configuration needs."""
    ipv6 = any(network.version == 6 for network in config.networks)  # noqa: PLR2004 - the IP version
    isolated = () if config.director.netns is None else ("veth",)
    guarded = ("nf_tables",) if config.guard.enabled else ()
    return (*wanted_modules({config.ipvs.scheduler, LOADING_SCHEDULER}, ipv6=ipv6), *isolated, *guarded)


def sysctls(config: Config) -> tuple[Sysctl, ...]:
    """The settings that a director of this configuration wants of its host."""
    return (*IPVS_SYSCTLS, *uplink_sysctls(config.node.uplinks))


def changes(wanted: Iterable[Sysctl], current: Mapping[str, str]) -> tuple[Change, ...]:
    """What to set, given the values that stand; settings that this kernel does not have are passed over."""
    return tuple(
        Change(sysctl.key, current[sysctl.key], sysctl.value)
        for sysctl in wanted
        if sysctl.key in current and current[sysctl.key] not in (sysctl.value, *sysctl.also_good)
    )


def remember(known: Iterable[Change], fresh: Iterable[Change]) -> tuple[Change, ...]:
    """The changes of all runs together: of each key the value that stood before the first and the one set last."""
    together = {change.key: change for change in known}
    for change in fresh:
        first = together.get(change.key, change)
        together[change.key] = Change(change.key, first.old, change.new)
    return tuple(together.values())
