"""``balanced status``: what this node serves, what it announces, and why."""

import json
from pathlib import Path

import click
import msgspec

from appliance.cli.client import ask
from appliance.cli.socket import socket_option
from appliance.director.status import Status
from appliance.errors import ExitCode


@click.command()
@socket_option
@click.option("--json", "as_json", is_flag=True, help="Print the whole status as JSON.")
def command(path: Path, *, as_json: bool) -> None:
    """Show every VIP: services, backends ready and all, kernel, announced where, since when, why.

    Exit status 3 if the node is degraded.
    """
    answer = ask(path, "status")
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        # Only the table needs rich; scripts that poll the JSON do not pay for it.
        from rich.console import Console  # noqa: PLC0415 - see above

        from appliance.cli.show import show_status  # noqa: PLC0415 - see above

        console = Console()
        console.print(show_status(msgspec.convert(answer, Status), console.width), highlight=False, soft_wrap=True)
    if msgspec.convert(answer, Status).degraded:
        raise SystemExit(ExitCode.DEGRADED)
