"""``balanced director``: the daemon."""

from pathlib import Path

import click

from appliance.config.load import load
from appliance.director.lock import only_one


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
    config = load(path, netns=netns)
    for folder in (config.director.runtime_dir, config.director.state_dir):
        folder.mkdir(parents=True, exist_ok=True)
    with only_one(config.director.runtime_dir / "director.lock"):
        # Half of a start is to load this: a second director is refused before.
        from appliance.director.wiring import run  # noqa: PLC0415 - as above
        from appliance.telemetry.journal import Journal  # noqa: PLC0415 - as above

        run(path, config, Journal())
