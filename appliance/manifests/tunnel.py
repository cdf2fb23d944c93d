"""What a cluster needs for the tunnel agents -> the YAML to apply. Same values, same bytes (I6)."""

import re
from collections.abc import Iterable
from ipaddress import ip_network

from appliance.errors import ConfigError
from appliance.manifests.render import DIRECTOR_RULES, Name, Rule, name_of
from appliance.templating.render import only, templates

TUNNEL_RULES = (
    *DIRECTOR_RULES,
    Rule(Name('""'), (Name("pods"),), (Name("get"), Name("list"), Name("watch"))),
    Rule(Name('""'), (Name("pods/status"),), (Name("patch"),)),
)
"""All that an agent needs: to read what a director reads, and pods; to write Events, and the condition of pods."""

# A reference as the OCI distribution specification has it: a registry with a port, a path, a tag, a digest.
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}", re.ASCII)


def render_tunnel(
    name: str, namespace: str, *, image: str, pools: Iterable[str], directors: Iterable[str], priority: str
) -> str:
    """Account, configuration and DaemonSet ``name`` of the agents in ``namespace``.

    ``pools`` and ``directors`` are networks as in the agents' configuration. ``priority`` is a PriorityClass.

    Raises:
        ConfigError: a value is none of its kind.
    """
    if not _IMAGE.fullmatch(image):
        shown = image[:100] if image.isprintable() else ascii(image[:100])
        raise ConfigError((f"--image: {shown}: is no image (write one like registry.example.com/balanced:0.1.0)",))
    return _TEMPLATES.get_template("tunnel.yaml.j2").render(
        name=name_of("--name", name),
        namespace=name_of("--namespace", namespace),
        priority=name_of("--priority-class", priority),
        image=Name(image),
        pools=[_network("--pool", text) for text in pools],
        directors=[_network("--director", text) for text in directors],
        rules=TUNNEL_RULES,
    )


def _network(place: str, text: str) -> Name:
    try:
        return Name(ip_network(text))
    except ValueError:
        shown = text[:60] if text.isprintable() else ascii(text[:60])
        raise ConfigError((f"{place}: {shown}: is no network (write one like 10.50.0.0/24)",)) from None


_TEMPLATES = templates("kubernetes", only(Name))
