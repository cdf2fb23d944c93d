"""Rules between values of the configuration: each returns or refuses what contradicts itself.

They run on parts that are valid by themselves, as low in the tree as possible, so that a mistake elsewhere hides none.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from appliance.config.fields import Mistake, refuse, refuse_all

if TYPE_CHECKING:
    from appliance.config.schema import (
        Bgp,
        Bird,
        Checks,
        Damping,
        Director,
        Family,
        Ipvs,
        Node,
        Peer,
        Pool,
        Sources,
        Telemetry,
    )
    from appliance.model.address import Address

GRACEFUL_SHUTDOWN = "65535:0"  # RFC 8326


def only_tunnel(value: object) -> object:
    """Refuse every forwarding but tunnel, and say why."""
    if value != "tunnel":
        refuse(
            "is not supported",
            "write tunnel: NAT would take the answers through this node, direct routing needs one shared link",
        )
    return value


def some_source(sources: Sources) -> list[Mistake]:
    """At least one source is there."""
    if sources.file is None and sources.kubernetes is None:
        remedy = "write file: with the path of a directory of services, or kubernetes: with a kubeconfig, below it"
        return [Mistake((), "no source is given", remedy)]
    return []


def flags_fit(ipvs: Ipvs) -> list[Mistake]:
    """Every scheduler flag is one of the scheduler that is set."""
    return [
        Mistake(
            ("scheduler_flags", index),
            f"{flag} is no flag of the scheduler {ipvs.scheduler}",
            f"take a flag that starts with {ipvs.scheduler}-, or leave scheduler_flags out"
            if ipvs.scheduler in {"mh", "sh"}
            else "leave scheduler_flags out; only mh and sh have flags",
        )
        for index, flag in enumerate(ipvs.scheduler_flags or ())
        if not flag.startswith(f"{ipvs.scheduler}-")
    ]


def damping_ordered(damping: Damping) -> list[Mistake]:
    """The first wait is not longer than the longest, and that is not longer than the memory."""
    mistakes = []
    if damping.initial_s > damping.max_s:
        what = f"{damping.initial_s:g} is above max_s, {damping.max_s:g}"
        mistakes.append(Mistake(("initial_s",), what, f"write at most {damping.max_s:g}, or raise max_s"))
    if damping.forget_s <= damping.max_s:
        what = f"{damping.forget_s:g} is not above max_s, {damping.max_s:g}"
        remedy = "raise it, or lower max_s; a VIP held down for the longest wait would begin anew each time"
        mistakes.append(Mistake(("forget_s",), what, remedy))
    return mistakes


def peer_name(values: dict[str, Any]) -> str:
    """The name of a session whose peer has none: ``peer_10_0_0_1``, ``peer_2001_db8__1``."""
    address: Address = values["address"]
    return "peer_" + str(address).replace(".", "_").replace(":", "_")


def own_family(values: dict[str, Any]) -> tuple[Family]:
    """The family of the peer's address: what its session carries where nothing is said."""
    address: Address = values["address"]
    return ("ipv4",) if address.version == 4 else ("ipv6",)  # noqa: PLR2004 - the IP version


def distinct_families(families: tuple[Family, ...]) -> tuple[Family, ...]:
    """Refuse a family that is named twice."""
    if len(set(families)) < len(families):
        refuse("names a family twice", "name each once: [ipv4], [ipv6] or [ipv4, ipv6]")
    return families


def peer_consistent(peer: Peer) -> list[Mistake]:
    """One password at most, and both ends of one family."""
    mistakes = []
    if peer.password is not None and peer.password_file is not None:
        mistakes.append(
            Mistake(("password_file",), "the password is given twice", "keep either password or password_file")
        )
    if peer.source_address is not None and peer.source_address.version != peer.address.version:
        what = f"{peer.source_address} is not IPv{peer.address.version} as the peer's address {peer.address} is"
        mistakes.append(Mistake(("source_address",), what, f"write an IPv{peer.address.version} address of this node"))
    return mistakes


def some_peer(bgp: Bgp) -> list[Mistake]:
    """Where the appliance owns bird.conf, at least one peer is there."""
    if bgp.manage == "full" and not bgp.peers:
        return [Mistake((), "no peer is given", "write peers: with at least one address and as, or manage: include")]
    return []


def deprefer_differs(bgp: Bgp) -> list[Mistake]:
    """A route that is to be avoided can be told from one that is not."""
    mistakes = [
        Mistake(
            ("communities", index),
            f"{community} is GRACEFUL_SHUTDOWN, by which routers always avoid this node",
            "take it out; the appliance sends it while the node is to be avoided",
        )
        for index, community in enumerate(bgp.communities)
        if community == GRACEFUL_SHUTDOWN
    ]
    if bgp.med is not None and bgp.deprefer.med is not None and bgp.deprefer.med <= bgp.med:
        what = f"{bgp.deprefer.med} is not above bgp.med, {bgp.med}"
        remedy = "raise it, lower bgp.med, or write null to leave the usual one"
        mistakes.append(Mistake(("deprefer", "med"), what, remedy))
    return mistakes


def families_have_pools(bgp: Bgp, pools: tuple[Pool, ...]) -> list[Mistake]:
    """Every session has VIPs that it could carry, and the VIPs of every pool have a session that carries them."""
    versions = {network.version for pool in pools for network in pool.cidrs}
    if not versions or not bgp.peers:
        return []
    mistakes = [
        Mistake(
            ("peers", index, "families"),
            f"the session to {peer.address} carries only {peer.families[0]}, of which there is no pool",
            f"write families: [ipv{next(iter(versions))}], or add a pool",
        )
        for index, peer in enumerate(bgp.peers)
        if not peer.versions & versions
    ]
    carried = frozenset[int]().union(*(peer.versions for peer in bgp.peers))
    mistakes += [
        Mistake(
            ("peers",),
            f"no session carries ipv{version}, of which there are pools",
            f"add an IPv{version} peer, or write families: [ipv4, ipv6] at one that speaks both",
        )
        for version in sorted(versions - carried)
    ]
    return mistakes


def distinct_peers(peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
    """Refuse two peers with one address or one name."""
    mistakes = []
    for (first, one), (second, other) in combinations(enumerate(peers), 2):
        if one.address == other.address:
            what = f"{other.address} is already the address of peers[{first}]"
            mistakes.append(
                Mistake(
                    (second, "address"),
                    what,
                    "remove one of the two; families: [ipv4, ipv6] lets one session carry all VIPs",
                )
            )
        elif one.name == other.name:
            what = f"{other.name} is already the name of peers[{first}]"
            mistakes.append(Mistake((second, "name"), what, "write another name, or leave it out"))
    refuse_all(mistakes)
    return peers


def distinct_pools(pools: tuple[Pool, ...]) -> tuple[Pool, ...]:
    """Refuse two pools with one name, and networks that overlap, in one pool or in two."""
    mistakes = []
    for (first, one), (second, other) in combinations(enumerate(pools), 2):
        if one.name == other.name:
            what = f"{other.name} is already the name of pools[{first}]"
            mistakes.append(Mistake((second, "name"), what, "write another name, or put the networks into one pool"))
    networks = [
        (pool.name, (place, "cidrs", index), network)
        for place, pool in enumerate(pools)
        for index, network in enumerate(pool.cidrs)
    ]
    for (name, _, network), (_, where, later) in combinations(networks, 2):
        if network.version == later.version and network.overlaps(later):
            what = f"{later} overlaps {network} of pool {name}"
            mistakes.append(Mistake(where, what, "write every network once, without a part of another"))
    refuse_all(mistakes)
    return pools


def router_outside_pools(node: Node | None, pools: tuple[Pool, ...]) -> list[Mistake]:
    """No VIP is this node's own address, nor an identifier that all nodes would have."""
    return [
        Mistake(
            (place, "cidrs", index),
            f"{network} of pool {pool.name} holds {node.router_id} of node.router_id",
            "take a network for VIPs that holds no router and no node",
        )
        for place, pool in enumerate(pools)
        for index, network in enumerate(pool.cidrs)
        if node is not None and node.router_id in network
    ]


def peers_outside_pools(bgp: Bgp, pools: tuple[Pool, ...]) -> list[Mistake]:
    """No address of a session lies in a pool: the VIPs' filter and guard would cut the session."""
    return [
        Mistake(
            ("peers", index, key),
            f"{address} lies in {network} of pool {pool.name}",
            "take a network for VIPs that holds no router and no node",
        )
        for index, peer in enumerate(bgp.peers)
        for key, address in (("address", peer.address), ("source_address", peer.source_address))
        for pool in pools
        for network in pool.cidrs
        if address is not None and address in network
    ]


def confirm_outlasts_answer(bird: Bird) -> list[Mistake]:
    """BIRD's own undo comes later than our last answer could."""
    if bird.confirm_timeout_s <= 2 * bird.timeout_s:
        what = f"{bird.confirm_timeout_s} is not above twice timeout_s, {bird.timeout_s:g}"
        remedy = "raise it; between configure and confirm BIRD is asked twice"
        return [Mistake(("confirm_timeout_s",), what, remedy)]
    return []


def answer_within_interval(checks: Checks) -> list[Mistake]:
    """A probe is over before the next one to the same backend."""
    if checks.timeout_s > checks.interval_s:
        what = f"{checks.timeout_s:g} is above interval_s, {checks.interval_s:g}"
        return [Mistake(("timeout_s",), what, f"write at most {checks.interval_s:g}, or raise interval_s")]
    return []


def retry_within_interval(checks: Checks) -> list[Mistake]:
    """A doubt is settled no slower than by waiting for the next turn."""
    if checks.retry_s > checks.interval_s:
        what = f"{checks.retry_s:g} is above interval_s, {checks.interval_s:g}"
        return [Mistake(("retry_s",), what, f"write at most {checks.interval_s:g}, or raise interval_s")]
    return []


def canary_within_resync(director: Director) -> list[Mistake]:
    """The cheap look comes at least as often as the full one."""
    if director.canary_s > director.resync_s:
        what = f"{director.canary_s:g} is above resync_s, {director.resync_s:g}"
        return [Mistake(("canary_s",), what, f"write at most {director.resync_s:g}")]
    return []


def ports_differ(telemetry: Telemetry) -> list[Mistake]:
    """Metrics and health have a port each."""
    if telemetry.metrics_port is not None and telemetry.metrics_port == telemetry.health_port:
        return [Mistake(("health_port",), f"{telemetry.health_port} is metrics_port already", "write another port")]
    return []


def listens_outside_pools(telemetry: Telemetry, pools: tuple[Pool, ...]) -> list[Mistake]:
    """Nobody listens on a VIP: its ports belong to its services."""
    return [
        Mistake(
            ("address",),
            f"{telemetry.address} lies in {network} of pool {pool.name}",
            "write an address of this node that is no VIP",
        )
        for pool in pools
        for network in pool.cidrs
        if telemetry.address in network
    ]


def unhealthy_after_resync(telemetry: Telemetry, director: Director | None) -> list[Mistake]:
    """Nobody is called unhealthy between two passes."""
    if director is not None and telemetry.unhealthy_after_s <= director.resync_s:
        what = f"{telemetry.unhealthy_after_s:g} is not above director.resync_s, {director.resync_s:g}"
        return [Mistake(("unhealthy_after_s",), what, "raise it, or lower resync_s")]
    return []
