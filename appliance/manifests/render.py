"""What has to stand in a cluster -> the YAML to apply. Same values, same bytes (I6).

Every value that a template prints must be a Name, which is made only from text that YAML takes for nothing else.
"""

import re
from dataclasses import dataclass

from appliance.errors import ConfigError
from appliance.templating.render import only, templates

# RFC 1123 label, as namespaces and ServiceAccounts are named; and not a number, which YAML would not take for text.
_LABEL = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_NUMBER = re.compile(r"[0-9]+e[0-9]+|0[xob][0-9a-f]+", re.ASCII)


class Name(str):
    """Text that was proven to be a name."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of RBAC; the core group is called "", which is written with quotes."""

    group: Name
    resources: tuple[Name, ...]
    verbs: tuple[Name, ...]


_CORE = Name('""')
_READ = (Name("get"), Name("list"), Name("watch"))

DIRECTOR_RULES = (
    Rule(_CORE, (Name("services"), Name("endpoints")), _READ),
    Rule(Name("discovery.k8s.io"), (Name("endpointslices"),), _READ),
    Rule(_CORE, (Name("events"),), (Name("create"), Name("patch"))),
)
"""All that a director needs. Discovery itself is open to whoever is authenticated (ClusterRole system:discovery)."""


def render_director(name: str, namespace: str) -> str:
    """ServiceAccount, ClusterRole and ClusterRoleBinding ``name`` of the directors, the account in ``namespace``.

    Raises:
        ConfigError: one of the two is no name.
    """
    values = {"name": name_of("--name", name), "namespace": name_of("--namespace", namespace)}
    return _TEMPLATES.get_template("director.yaml.j2").render(rules=DIRECTOR_RULES, **values)


def name_of(place: str, text: str) -> Name:
    """The text as a name; ``place`` says where it was given.

    Raises:
        ConfigError: it is none.
    """
    if not _LABEL.fullmatch(text) or text in _YAML_WORDS or _NUMBER.fullmatch(text):
        shown = text[:63] if text.isprintable() else ascii(text[:63])
        remedy = "write 1 to 63 small letters, digits and dashes, as kubectl create namespace takes them"
        raise ConfigError((f"{place}: {shown}: is not a name ({remedy})",))
    return Name(text)


_TEMPLATES = templates("kubernetes", only(Name))
