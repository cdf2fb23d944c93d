"""``balanced check``: all mistakes of a configuration and of its service files, without changing anything."""

from pathlib import Path

import click

from appliance.config.load import load
from appliance.config.schema import Config
from appliance.errors import ConfigError, ExitCode
from appliance.model.desired import Problem
from appliance.sources.file import check_directory, read_directory


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
def command(files: tuple[Path, ...]) -> None:
    """Check configuration files and the services they lead to.

    Prints every mistake on a line of its own, to standard output, as file:line: key: what is wrong (what to write
    instead). FILE is /etc/balanced/appliance.yaml if none is given. Exit status 2 if there is a mistake.
    """
    findings = [check(path) for path in files or (Path("/etc/balanced/appliance.yaml"),)]
    for mistakes, summary in findings:
        click.echo("\n".join(mistakes) or summary)
    if any(mistakes for mistakes, _ in findings):
        raise SystemExit(ExitCode.USAGE)


def check(path: Path) -> tuple[tuple[str, ...], str]:
    """The mistakes of a configuration with its services, each a printable line; what it holds if there are none."""
    try:
        config = load(path)
    except ConfigError as error:
        return error.mistakes, ""
    mistakes = _service_mistakes(config)
    return mistakes, "" if mistakes else f"{path}: correct: {_summary(config)}"


def _service_mistakes(config: Config) -> tuple[str, ...]:
    if config.sources.file is None:
        return ()
    directory = config.sources.file.path
    problems = check_directory(directory, config.ipvs.defaults(), config.networks)
    return tuple(_located(problem, directory) for problem in problems)


def _located(problem: Problem, directory: Path) -> str:
    """The problem as a line; a source names its files without the directory."""
    is_in_file = (directory / problem.where.partition(":")[0]).is_file()
    return f"{directory}/{problem}" if is_in_file else str(problem)


def _summary(config: Config) -> str:
    counts = {"pool": len(config.pools), "peer": len(config.bgp.peers)}
    if config.sources.file is not None:
        counts["service"] = len(read_directory(config.sources.file.path, config.ipvs.defaults()).services)
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())
