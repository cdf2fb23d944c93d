"""``balanced check``: all mistakes of a configuration and of its service files, without changing anything."""

from pathlib import Path

import click

from appliance.config.load import load
from appliance.config.schema import Config
from appliance.errors import ConfigError, ExitCode, SourceError
from appliance.sources.file import check_directory


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
def command(files: tuple[Path, ...]) -> None:
    """Check configuration files and the services they lead to.

    Prints every mistake on a line of its own, to standard output, as file:line: key: what is wrong (what to write
    instead). FILE is /etc/balanced/appliance.yaml if none is given. Exit status 2 if there is a mistake.
    """
    lines = [check(path) for path in files or (Path("/etc/balanced/appliance.yaml"),)]
    for mistakes, summary in lines:
        click.echo("\n".join(mistakes) or summary)
    if any(mistakes for mistakes, _ in lines):
        raise SystemExit(ExitCode.USAGE)


def check(path: Path) -> tuple[tuple[str, ...], str]:
    """The mistakes of a configuration with its services, each a printable line; what it holds if there are none."""
    try:
        config = load(path)
        return service_mistakes(config), f"{path}: correct: {summary(config)}"
    except ConfigError as error:
        return error.mistakes, ""


def service_mistakes(config: Config) -> tuple[str, ...]:
    """The mistakes of the directory of services, one line each."""
    if config.sources.file is None:
        return ()
    try:
        problems = check_directory(config.sources.file.path, config.ipvs.defaults(), config.networks)
    except SourceError as error:
        return (str(error),)
    return tuple(map(str, problems))


def summary(config: Config) -> str:
    """What a correct configuration holds, in one line."""
    counts = {"pool": len(config.pools), "peer": len(config.bgp.peers)}
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())
