"""The configuration reference, made from the schema: ``python -m appliance.config.reference > FILE``."""

import sys
from collections.abc import Iterator
from inspect import cleandoc

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from appliance.config.schema import Config
from appliance.config.tunnel import TunnelConfig
from appliance.config.words import as_yaml, keys, section_of

_HEAD = """\
# Configuration reference

Made from `appliance/config/schema.py` by `python -m appliance.config.reference`; do not edit.

One file, `/etc/balanced/appliance.yaml`, describes a node. `balanced check FILE` prints all of its mistakes. It is read
as YAML 1.2: `true` and `false` are the only booleans, numbers are plain decimal numbers, unknown and duplicate keys are
mistakes. Anchors and aliases of whole values work; merge keys (`<<`) and tags (`!`) do not.
"""

_TUNNEL_HEAD = """\
# Configuration reference of the tunnel agent

Made from `appliance/config/tunnel.py` by `python -m appliance.config.reference tunnel`; do not edit.

One file, `/etc/balanced/tunnel.yaml`, describes the agent of a worker. It is read as
[the director's](configuration.md) is.
How the agent works: [tunnel-agent.md](../tunnel-agent.md).
"""


def tunnel_reference() -> str:
    """The same for the file of a tunnel agent."""
    return "\n".join([_TUNNEL_HEAD, *_section("", TunnelConfig)])


def reference() -> str:
    """The whole reference as Markdown, the same bytes for the same schema."""
    return "\n".join([_HEAD, *_section("", Config)])


def _section(place: str, section: type[BaseModel]) -> Iterator[str]:
    if place:
        yield f"## {place}\n"
    yield f"{cleandoc(section.__doc__ or '')}\n"
    for key, info in keys(section).items():
        yield _entry(key, info)
    yield ""
    for key, info in keys(section).items():
        inner = section_of(info.annotation)
        if inner is not None:
            is_list = "tuple" in str(info.annotation)
            yield from _section(f"{place}.{key}".lstrip(".") + ("[]" if is_list else ""), inner)


def _entry(key: str, info: FieldInfo) -> str:
    notes = []
    if info.is_required():
        notes.append("required")
    elif info.default_factory is None and section_of(info.annotation) is None:
        notes.append(f"default `{as_yaml(info.default)}`")
    limits = {type(limit).__name__: limit for limit in info.metadata}
    if "Ge" in limits and "Le" in limits:
        notes.append(f"{limits['Ge'].ge} to {limits['Le'].le}")
    if info.examples:
        notes.append(f"example `{as_yaml(info.examples[0])}`")
    note = f" ({', '.join(notes)})" if notes else ""
    words = " ".join((info.description or "").split())
    return f"- **`{key}`**{note}: {words}"


if __name__ == "__main__":
    sys.stdout.write(tunnel_reference() if sys.argv[1:] == ["tunnel"] else reference())
