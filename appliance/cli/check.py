"""``balanced check``: all mistakes of a configuration and of its service files, without changing anything."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from appliance.config.ipam import ipam_fits_node
from appliance.config.load import is_for_ipam_alone, is_for_tunnel, load, load_ipam, load_tunnel
from appliance.config.schema import Config
from appliance.errors import ConfigError, ExitCode
from appliance.model.desired import Problem
from appliance.sources.file import check_directory, read_directory


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--as", "place", type=click.Path(path_type=Path), help="Where FILE will lie: relative paths start there.")
def command(files: tuple[Path, ...], place: Path | None) -> None:
    """Check configuration files and the services they lead to.

    Prints every mistake on a line of its own, to standard output, as file:line: key: what is wrong (what to write
    instead). FILE is /etc/balanced/appliance.yaml if none is given. A file that holds nothing but ipam is checked
    against the other files as well; one with directors is a tunnel agent's. Exit status 2 if there is a mistake.
    """
    paths = files or (Path("/etc/balanced/appliance.yaml"),)
    findings = [check(path, place) for path in paths]
    if not any(mistakes for mistakes, _ in findings):
        findings.append((check_together(paths, place), ""))
    for mistakes, summary in findings:
        if mistakes or summary:
            click.echo("\n".join(mistakes) or summary)
    if any(mistakes for mistakes, _ in findings):
        raise SystemExit(ExitCode.USAGE)


def check(path: Path, place: Path | None = None) -> tuple[tuple[str, ...], str]:
    """The mistakes of a configuration with its services, each a printable line; what it holds if there are none."""
    try:
        if is_for_ipam_alone(path):
            return (), f"{path}: correct: {_counted({'pool': len(load_ipam(path).pools)})}"
        if is_for_tunnel(path):
            agent = load_tunnel(path)
            counts = {"pool": len(agent.pools), "director network": len(agent.directors)}
            return (), f"{path}: correct: {_counted(counts)}"
        config = load(path, place=place)
    except ConfigError as error:
        return error.mistakes, ""
    mistakes = _service_mistakes(config)
    return mistakes, "" if mistakes else f"{path}: correct: {_summary(config)}"


def check_together(paths: Sequence[Path], place: Path | None = None) -> tuple[str, ...]:
    """What is wrong between configurations of the allocator and those of nodes, all of them correct by themselves."""
    alone = {path: is_for_ipam_alone(path) for path in paths}
    rest = [path for path in paths if any(alone.values()) and not alone[path] and not is_for_tunnel(path)]
    nodes = [load(path, place=place) for path in rest]
    return tuple(
        dict.fromkeys(
            f"{path}: {mistake.what} ({mistake.remedy})"
            for path in paths
            if alone[path]
            for node in nodes
            for mistake in ipam_fits_node(load_ipam(path), node.pools, node.bgp, node.telemetry)
        )
    )


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
    return _counted(counts)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())
