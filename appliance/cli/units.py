"""``balanced units``: what the director needs to run under systemd, written below a directory."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from appliance import last_will
from appliance.config.load import load, load_tunnel
from appliance.config.schema import Config
from appliance.config.tunnel import TunnelConfig
from appliance.host.prepare import IPVS_SYSCTLS, modules
from appliance.tunnel.modules import MODULES
from appliance.units.render import LAST_WILL, render_units, setting
from appliance.units.tunnel import render_tunnel_units

FILE_MODE = 0o644


@click.command()
@click.argument("root", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="The configuration of this node.  [default: /etc/balanced/appliance.yaml, of a worker tunnel.yaml there]",
)
@click.option(
    "--command",
    "balanced",
    type=click.Path(path_type=Path),
    default=Path(sys.executable).with_name("balanced"),
    help="The balanced command that the unit starts.  [default: this one]",
)
@click.option("--as", "installed", type=click.Path(path_type=Path), help="Where that configuration will lie.")
@click.option(
    "--role",
    type=click.Choice(["director", "tunnel"]),
    default="director",
    show_default=True,
    help="What runs here: a director, or on a worker the tunnel agent.",
)
@click.option(
    "--static",
    type=click.Path(path_type=Path),
    help="With the role tunnel, for a server that is no pod: the file with its VIPs.",
)
@click.option("--dry-run", is_flag=True, help="Only say which files would change.")
def command(  # noqa: PLR0917 - click passes options by name
    root: Path,
    path: Path | None,
    balanced: Path,
    installed: Path | None,
    role: str,
    static: Path | None,
    *,
    dry_run: bool,
) -> None:
    """Write units, users, directories, modules and settings for systemd below ROOT, and say which files changed.

    ROOT is / on the node itself; any other directory is for looking, comparing or packaging. Nothing is started,
    enabled or reloaded. What to run then is in docs/operations.md.
    """
    if role == "tunnel":
        path = path or Path("/etc/balanced/tunnel.yaml")
        found = worker_files(load_tunnel(path), (installed or path).absolute(), balanced, static)
    else:
        path = path or Path("/etc/balanced/appliance.yaml")
        found = files(load(path, place=installed), (installed or path).absolute(), balanced)
    for target in write_files(found, root, dry_run=dry_run):
        click.echo(target)


def write_files(found: Mapping[Path, str], root: Path = Path("/"), *, dry_run: bool = False) -> Iterator[Path]:
    """Write what is not below ``root`` yet, and name it."""
    for place, text in found.items():
        target = root / place.relative_to("/")
        if _stands(target, text):
            continue
        if not dry_run:
            _write(target, text)
        yield target


def files(config: Config, config_path: Path, balanced: Path) -> dict[Path, str]:
    """Every file by its absolute path on the node.

    Raises:
        ConfigError: a value cannot stand in a unit.
    """
    rendered = render_units(
        config,
        config_path=config_path,
        command=balanced,
        modules=modules(config),
        settings=[setting(each.key, each.value, each.reason) for each in IPVS_SYSCTLS],
    )
    return {**rendered, LAST_WILL: Path(last_will.__file__).read_text(encoding="utf-8")}


def worker_files(
    config: TunnelConfig, config_path: Path, balanced: Path, static: Path | None = None
) -> dict[Path, str]:
    """Every file of a tunnel agent by its absolute path on the worker.

    Raises:
        ConfigError: a value cannot stand in a unit.
    """
    return render_tunnel_units(config, config_path=config_path, command=balanced, static=static, modules=MODULES)


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(FILE_MODE)
    fresh.replace(target)


def _stands(target: Path, text: str) -> bool:
    return target.is_file() and target.read_text(encoding="utf-8") == text
