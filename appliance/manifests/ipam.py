"""What a cluster needs for the allocators -> the YAML to apply. Same values, same bytes (I6)."""

import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from appliance.errors import ConfigError
from appliance.manifests.render import Name, Rule, name_of
from appliance.templating.render import only, templates

_CORE = Name('""')

IPAM_RULES = (
    Rule(_CORE, (Name("services"),), (Name("get"), Name("list"), Name("watch"))),
    Rule(_CORE, (Name("services/status"),), (Name("patch"),)),
    Rule(_CORE, (Name("events"),), (Name("create"), Name("patch"))),
)
"""All that an allocator needs in the whole cluster; its Lease stands in its own namespace."""

NAMESPACE_RULE = Rule(_CORE, (Name("namespaces"),), (Name("list"), Name("watch")))
"""What it needs besides where pools go by labels of namespaces."""

# A reference as the OCI distribution specification has it: a registry with a port, a path, a tag, a digest.
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}", re.ASCII)


def render_ipam(name: str, namespace: str, *, image: str, pools: Iterable[str], namespace_labels: bool = False) -> str:
    """Account, rights, configuration and Deployment ``name`` of the allocators in ``namespace``.

    ``pools`` are networks and ranges FIRST-LAST, which become one pool. ``namespace_labels`` adds the right to
    read Namespaces.

    Raises:
        ConfigError: a value is none of its kind.
    """
    if not _IMAGE.fullmatch(image):
        shown = image[:100] if image.isprintable() else ascii(image[:100])
        raise ConfigError((f"--image: {shown}: is no image (write one like registry.example.com/balanced:0.1.0)",))
    return _TEMPLATES.get_template("ipam.yaml.j2").render(
        name=name_of("--name", name),
        namespace=name_of("--namespace", namespace),
        image=Name(image),
        pools=[_span(text) for text in pools],
        rules=(*IPAM_RULES, NAMESPACE_RULE) if namespace_labels else IPAM_RULES,
    )


def _span(text: str) -> Name:
    first, dash, last = text.partition("-")
    try:
        if "%" not in text:
            return Name(f"{ip_address(first)}-{ip_address(last)}" if dash else ip_network(text))
    except ValueError:
        pass  # said below
    shown = text[:60] if text.isprintable() else ascii(text[:60])
    remedy = "write one like 10.50.0.0/24 or 10.50.0.10-10.50.0.19"
    raise ConfigError((f"--pool: {shown}: is no network and no range ({remedy})",))


_TEMPLATES = templates("kubernetes", only(Name))
