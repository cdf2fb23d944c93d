"""``balanced render``: what goes into ``bird.conf`` or nftables, to be read, compared or pasted; nothing is written."""

from pathlib import Path

import click
from pydantic import SecretStr

from appliance.bird.render import render_config, render_snippet
from appliance.config.load import load
from appliance.config.schema import Config
from appliance.decide.guard import GuardPolicy, guard
from appliance.decide.merge import merge
from appliance.guard.render import render_table
from appliance.model.guard import Refusal
from appliance.sources.file import read_directory

HIDDEN = SecretStr("HIDDEN")


@click.command()
@click.argument("file", default="/etc/balanced/appliance.yaml", type=click.Path(path_type=Path))
@click.option("--guard", "as_guard", is_flag=True, help="Print the nftables table that guards the VIPs instead.")
def command(file: Path, *, as_guard: bool) -> None:
    """Print what a configuration makes of BIRD's.

    Where bgp.manage is full, that is the whole bird.conf, with HIDDEN in place of every password. Where it is include,
    it is what the operator has to add to the bird.conf of his own.

    With --guard it is the nftables table for the services of the files, as far as these are a source.
    """
    config = load(file)
    if as_guard:
        click.echo(_guard(config), nl=False)
        return
    click.echo(render_config(_hidden(config)) if config.bgp.manage == "full" else render_snippet(config), nl=False)


def _guard(config: Config) -> str:
    if not config.guard.enabled:
        return "# guard.enabled is false: no table\n"
    files = config.sources.file
    snapshots = [read_directory(files.path, config.ipvs.defaults())] if files is not None else []
    policy = GuardPolicy(config.networks, refusal=Refusal(config.guard.refusal))
    return render_table(guard(merge(snapshots, config.networks).services.values(), policy))


def _hidden(config: Config) -> Config:
    peers = tuple(
        peer if peer.password is None else peer.model_copy(update={"password": HIDDEN}) for peer in config.bgp.peers
    )
    return config.model_copy(update={"bgp": config.bgp.model_copy(update={"peers": peers})})
