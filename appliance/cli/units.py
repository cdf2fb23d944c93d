"""``balanced units``: what the director needs to run under systemd, written below a directory."""

import sys
from pathlib import Path

import click

from appliance import last_will
from appliance.config.load import load
from appliance.config.schema import Config
from appliance.host.prepare import IPVS_SYSCTLS, modules
from appliance.units.render import LAST_WILL, render_units, setting

FILE_MODE = 0o644


@click.command()
@click.argument("root", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("/etc/balanced/appliance.yaml"),
    show_default=True,
    help="The configuration of this node.",
)
@click.option(
    "--command",
    "balanced",
    type=click.Path(path_type=Path),
    default=Path(sys.executable).with_name("balanced"),
    help="The balanced command that the unit starts.  [default: this one]",
)
def command(root: Path, path: Path, balanced: Path) -> None:
    """Write units, users, directories, modules and settings for systemd below ROOT, and say which files changed.

    ROOT is / on the node itself; any other directory is for looking, comparing or packaging. Nothing is started,
    enabled or reloaded. What to run then is in docs/operations.md.
    """
    for place, text in files(load(path), path.absolute(), balanced).items():
        target = root / place.relative_to("/")
        if _stands(target, text):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(FILE_MODE)
        fresh.replace(target)
        click.echo(target)


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


def _stands(target: Path, text: str) -> bool:
    return target.is_file() and target.read_text(encoding="utf-8") == text
