"""Configuration of a tunnel agent -> what systemd reads on a worker. Same values, same bytes (I6)."""

from collections.abc import Iterable
from pathlib import Path

from appliance.config.tunnel import TunnelConfig
from appliance.telemetry.catalog import catalog
from appliance.templating.render import only, templates
from appliance.units.render import Word, below, word


def render_tunnel_units(
    config: TunnelConfig, *, config_path: Path, command: Path, static: Path | None, modules: Iterable[str]
) -> dict[Path, str]:
    """Every file that a worker needs to run the agent under systemd, by its absolute path.

    ``static`` is the file of a server that is no pod. The other arguments are those of ``render_units``.

    Raises:
        ConfigError: a path cannot stand in a unit, or is not where systemd makes directories for units.
    """
    values = {
        "command": word("--command", command),
        "config": word("--config", config_path),
        "static": None if static is None else word("--static", static),
        "runtime_directory": below("agent.runtime_dir", config.agent.runtime_dir, Path("/run")),
        "modules": [word("module", name) for name in modules],
        "sysctls": [],
    }
    made = {Path(place): _TEMPLATES.get_template(name).render(values) for place, name in _PLACES.items()}
    return {**made, Path("/usr/lib/systemd/catalog/balanced.catalog"): catalog()}


_PLACES = {
    "/etc/systemd/system/balanced-tunnel.service": "balanced-tunnel.service.j2",
    "/etc/modules-load.d/balanced-tunnel.conf": "modules-load.conf.j2",
}
_TEMPLATES = templates("systemd", only(Word))
