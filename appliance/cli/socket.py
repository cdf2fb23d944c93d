"""The option that says where the director listens, the same for every command that asks it."""

from pathlib import Path

import click

socket_option = click.option(
    "--socket",
    "path",
    type=click.Path(path_type=Path),
    default=Path("/run/balanced/control.sock"),
    show_default=True,
    help="The director's control socket.",
)
