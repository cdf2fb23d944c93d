"""``balanced confirm``: yes, that much was meant to go."""

from pathlib import Path

import click
import msgspec

from appliance.cli.client import ask
from appliance.cli.socket import socket_option
from appliance.director.operator import Ordered


@click.command()
@socket_option
def command(path: Path) -> None:
    """Obey now a source whose loss of most VIPs is withheld (condition ``brake`` in ``balanced status``)."""
    click.echo(msgspec.convert(ask(path, "confirm"), Ordered).done)
