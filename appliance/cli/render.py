"""``balanced render``: what goes into ``bird.conf``, to be read, compared or pasted; nothing is written."""

from pathlib import Path

import click
from pydantic import SecretStr

from appliance.bird.render import render_config, render_snippet
from appliance.config.load import load
from appliance.config.schema import Config

HIDDEN = SecretStr("HIDDEN")


@click.command()
@click.argument("file", default="/etc/balanced/appliance.yaml", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Print what a configuration makes of BIRD's.

    Where bgp.manage is full, that is the whole bird.conf, with HIDDEN in place of every password. Where it is include,
    it is what the operator has to add to the bird.conf of his own.
    """
    config = load(file)
    click.echo(render_config(_hidden(config)) if config.bgp.manage == "full" else render_snippet(config), nl=False)


def _hidden(config: Config) -> Config:
    peers = tuple(
        peer if peer.password is None else peer.model_copy(update={"password": HIDDEN}) for peer in config.bgp.peers
    )
    return config.model_copy(update={"bgp": config.bgp.model_copy(update={"peers": peers})})
