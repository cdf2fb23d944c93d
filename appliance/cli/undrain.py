"""``balanced undrain``: back into service."""

from pathlib import Path

import click
import msgspec

from appliance.cli.client import ask
from appliance.cli.socket import socket_option
from appliance.director.operator import Ordered


@click.command()
@click.option("--vip", default="", metavar="ADDRESS", help="Lift the order for this VIP only (default: all orders).")
@socket_option
def command(vip: str, path: Path) -> None:
    """Lift what ``balanced drain`` ordered: what is proven is announced again."""
    answer = msgspec.convert(ask(path, "undrain", {"vip": vip}), Ordered)
    click.echo(answer.done)
    if answer.warning:
        click.echo(f"warning: {answer.warning}", err=True)
