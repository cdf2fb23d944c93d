"""The command ``balanced``: finds the subcommand, turns errors into exit codes.

A subcommand is a module in this folder with a click command called ``command``. It is imported when it is called, so
that the daemon does not pay for what only tables need.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NoReturn

import click

from appliance import __version__
from appliance.errors import ApplianceError, ConfigError

COMMANDS: Mapping[str, str] = {
    "assess": "appliance.cli.assess",
    "check": "appliance.cli.check",
    "confirm": "appliance.cli.confirm",
    "console": "appliance.cli.console",
    "director": "appliance.cli.director",
    "doctor": "appliance.cli.doctor",
    "drain": "appliance.cli.drain",
    "firstboot": "appliance.cli.firstboot",
    "ipam": "appliance.cli.ipam",
    "manifests": "appliance.cli.manifests",
    "observe": "appliance.cli.observe",
    "render": "appliance.cli.render",
    "slots": "appliance.cli.slots",
    "status": "appliance.cli.status",
    "tunnel": "appliance.cli.tunnel",
    "undrain": "appliance.cli.undrain",
    "units": "appliance.cli.units",
    "update": "appliance.cli.update",
    "wait": "appliance.cli.wait",
}


class LazyGroup(click.Group):
    """Subcommands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of that name, None where there is none."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = import_module(module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.command is no click command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="balanced")
def balanced() -> None:
    """Stateless Layer-4 load balancer node: IPVS, proven, announced by BGP.

    Exit status: 0 well, 1 failed, 2 bad configuration or usage, 3 degraded, 4 refused.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command line (default: that of the process) and exit.

    Raises:
        SystemExit: always, with the status of ExitCode. What is no ApplianceError is a bug and passes through (I8).
    """
    try:
        balanced.main(args=arguments, prog_name="balanced")
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except ApplianceError as error:
        click.echo(f"balanced: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(0)
