"""Rules of a director with a network namespace of its own: what it needs beside the namespace's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.config.fields import Mistake

if TYPE_CHECKING:
    from appliance.config.schema import Director, Node, Pool

_NETWORKS = "netns_networks"


def isolation_complete(director: Director, node: Node | None, pools: tuple[Pool, ...]) -> list[Mistake]:
    """Where netns is set, the way into the namespace can be made: its ends have addresses, the uplinks are named."""
    if director.netns is None:
        return []
    return [*_uplinks_named(node), *_versions_covered(director, pools), *_apart(director, pools)]


def _uplinks_named(node: Node | None) -> list[Mistake]:
    if node is None or node.uplinks:
        return []
    what = "a namespace needs node.uplinks, for only what comes in by them is forwarded into it"
    return [Mistake(("netns",), what, "write uplinks: [eth0] below node, with the names of your links")]


def _versions_covered(director: Director, pools: tuple[Pool, ...]) -> list[Mistake]:
    wanted = {network.version for pool in pools for network in pool.cidrs}
    versions = [network.version for network in director.netns_networks]
    mistakes = [
        Mistake(
            (_NETWORKS, index), f"{network} is a second IPv{network.version} network", "keep one of each IP version"
        )
        for index, network in enumerate(director.netns_networks)
        if network.version in versions[:index]
    ]
    examples = {4: "a /31 such as 10.9.0.10/31", 6: "a /127 such as 2001:db8:9::10/127"}
    mistakes += [
        Mistake(
            (_NETWORKS,),
            f"no IPv{version} network leads into the namespace, and there are IPv{version} pools",
            f"add {examples[version]} that your routers send to this node, another one for each node",
        )
        for version in sorted(wanted - set(versions))
    ]
    return mistakes


def _apart(director: Director, pools: tuple[Pool, ...]) -> list[Mistake]:
    """A VIP cannot be an end of the way to itself."""
    return [
        Mistake(
            (_NETWORKS, index), f"{network} overlaps {other} of pool {pool.name}", "take a network outside the pools"
        )
        for index, network in enumerate(director.netns_networks)
        for pool in pools
        for other in pool.cidrs
        if network.version == other.version and network.overlaps(other)
    ]
