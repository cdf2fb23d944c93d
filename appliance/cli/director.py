"""``balanced director``: the daemon."""

from pathlib import Path

import click

from appliance.director.wiring import run
from appliance.telemetry.journal import Journal


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("/etc/balanced/appliance.yaml"),
    show_default=True,
    help="The configuration of this node.",
)
@click.option(
    "--netns",
    metavar="NAME",
    help="Work in this network namespace, as with director.netns of the configuration, in place of what that says.",
)
def command(path: Path, netns: str | None) -> None:
    """Serve VIPs on this node: program IPVS, prove it, let BIRD announce it.

    SIGHUP takes the configuration anew, SIGTERM stops the director and leaves everything in force.
    """
    run(path, Journal(), netns)
