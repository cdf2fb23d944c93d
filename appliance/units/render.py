"""Configuration -> what systemd reads: units, and what has to be there before them. Same values, same bytes (I6).

Every value that a template prints must be a Word, which is made only from text that means nothing else to systemd.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.config.schema import Config
from appliance.errors import ConfigError
from appliance.telemetry import messages
from appliance.telemetry.catalog import catalog
from appliance.templating.render import only, templates

USER = "balanced"
LAST_WILL = Path("/usr/local/lib/balanced/last_will.py")

# systemd.syntax(7): no space, quote, backslash or %; sysctl.d and modules-load.d know no quoting at all.
_PLAIN = re.compile(r"[A-Za-z0-9_/.:@+-]{1,255}", re.ASCII)
_PROSE = re.compile(r"[ -~]{1,200}", re.ASCII)


class Word(str):
    """Text that was proven harmless at its place."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One kernel setting: its dotted name, its value, and why."""

    key: Word
    value: Word
    reason: Word


def setting(path: str, value: str, reason: str) -> Setting:
    """A setting by its ``path`` below /proc/sys.

    Raises:
        ConfigError: one of the three cannot stand in a file of sysctl.d.
    """
    if not _PROSE.fullmatch(reason):
        raise _refused("reason", reason, "write one line of ASCII")
    return Setting(word("sysctl", path.replace("/", ".")), word(path, value), Word(reason))


def render_units(
    config: Config, *, config_path: Path, command: Path, modules: Iterable[str], settings: Iterable[Setting]
) -> dict[Path, str]:
    """Every file that a node needs to run the director under systemd, by its absolute path.

    Args:
        config: what the director is configured to do.
        config_path: where that configuration lies on the node.
        command: the ``balanced`` executable on the node.
        modules: kernel modules to be loaded at boot.
        settings: kernel settings to be made at boot.

    Raises:
        ConfigError: a path cannot stand in a unit, or is not where systemd makes directories for units.
    """
    writes_bird_conf = config.bgp.manage == "full"
    bird_directory = word("bird.config_path", config.bird.config_path.parent) if writes_bird_conf else None
    include_dir = word("bird.include_dir", config.bird.include_dir)
    values: Mapping[str, object] = {
        "command": word("--command", command),
        "config": word("--config", config_path),
        "user": Word(USER),
        "group": word("director.control_group", config.director.control_group or USER),
        "probes": config.checks.mode != "none",
        "netns": None if config.director.netns is None else word("director.netns", config.director.netns),
        "runtime_dir": word("director.runtime_dir", config.director.runtime_dir),
        "runtime_directory": below("director.runtime_dir", config.director.runtime_dir, Path("/run")),
        "state_directory": below("director.state_dir", config.director.state_dir, Path("/var/lib")),
        "include_dir": include_dir,
        "bird_directory": bird_directory,
        "writable": [include_dir, *([bird_directory] if bird_directory else [])],
        "last_will": Word(LAST_WILL),
        "message_id": Word(messages.LOST.id),
        "modules": [word("module", name) for name in modules],
        "sysctls": list(settings),
    }
    places = _PLACES if config.director.netns is None else {**_PLACES, **_ISOLATED_PLACES}
    made = {Path(place): _TEMPLATES.get_template(name).render(values) for place, name in places.items()}
    return {**made, Path("/usr/lib/systemd/catalog/balanced.catalog"): catalog()}


_PLACES = {
    "/etc/systemd/system/balanced-director.service": "balanced-director.service.j2",
    "/etc/systemd/system/balanced-last-will.service": "balanced-last-will.service.j2",
    "/etc/systemd/system/bird.service.d/balanced.conf": "bird-balanced.conf.j2",
    "/etc/tmpfiles.d/balanced.conf": "tmpfiles.conf.j2",
    "/etc/sysusers.d/balanced.conf": "sysusers.conf.j2",
    "/etc/modules-load.d/balanced.conf": "modules-load.conf.j2",
    "/etc/sysctl.d/60-balanced.conf": "sysctl.conf.j2",
}
_ISOLATED_PLACES = {"/etc/systemd/system/balanced-netns.service": "balanced-netns.service.j2"}


def word(place: str, text: str | Path) -> Word:
    """The text as one word of a unit; ``place`` says where it was given.

    Raises:
        ConfigError: it would mean something else to systemd.
    """
    if not _PLAIN.fullmatch(str(text)):
        raise _refused(place, str(text), "use letters, digits and _ / . : @ + - only")
    return Word(text)


def below(place: str, path: Path, top: Path) -> Word:
    """The path below ``top``, where systemd makes a directory for a unit and gives it to the unit's user.

    Raises:
        ConfigError: it is not below it.
    """
    if top not in path.parents:
        raise _refused(place, str(path), f"take a directory below {top}, where systemd makes it for the director")
    return word(place, path.relative_to(top))


def _refused(place: str, text: str, remedy: str) -> ConfigError:
    shown = text[:100] if text.isprintable() else ascii(text[:100])
    return ConfigError((f"{place}: {shown}: cannot stand in a unit ({remedy})",))


_TEMPLATES = templates("systemd", only(Word))
