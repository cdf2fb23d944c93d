"""``balanced tunnel``: the agent of a worker."""

from pathlib import Path

import click

from appliance.config.load import load_tunnel
from appliance.director.lock import only_one
from appliance.telemetry.journal import Journal
from appliance.tunnel.wiring import run


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("/etc/balanced/tunnel.yaml"),
    show_default=True,
    help="The configuration of the agent.",
)
@click.option(
    "--node", metavar="NAME", envvar="BALANCED_NODE", help="Name of this node in the cluster, in place of node.name."
)
@click.option(
    "--static",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="For a server that is no pod: put the VIPs of this file on this machine's own tunnel devices.",
)
def command(path: Path, node: str | None, file: Path | None) -> None:
    """Give the pods of this node their VIPs, so that they can answer clients directly.

    Every pod that is an endpoint of a Service with a VIP gets it on its tunnel device. SIGTERM stops the agent and
    leaves everything in force.
    """
    config = load_tunnel(path, node=node)
    config.agent.runtime_dir.mkdir(parents=True, exist_ok=True)
    with only_one(config.agent.runtime_dir / "agent.lock", "a tunnel agent"):
        run(config, Journal(identifier="balanced-tunnel"), file)
