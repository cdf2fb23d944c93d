"""Configuration and VIPs -> the text that BIRD reads. Same values, same bytes (I6).

``bird -p`` accepts injected text, so it is no defence. Here every value that a template prints must be a number, an
address, a network or a Token, and a Token is made only by functions that know what may stand at its place.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from appliance.config.schema import Config, Peer
from appliance.errors import ConfigError
from appliance.model.address import Address, Network, address_order
from appliance.templating.render import only, templates

PREFIX = "balanced_"
STATIC_PROTOCOLS = {4: f"{PREFIX}vips4", 6: f"{PREFIX}vips6"}
# GRACEFUL_SHUTDOWN, RFC 8326: the well-known community that asks routers to prefer any other path.
GRACEFUL_SHUTDOWN = "(65535,0)"

_HOST_BITS = {4: 32, 6: 128}
_OWN_NAMES = frozenset({f"{PREFIX}bfd", f"{PREFIX}device"}) | {
    f"{PREFIX}{what}{n}" for what in ("export", "internal", "kernel", "pools", "prefer", "vips") for n in (4, 6)
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_QUOTABLE = re.compile(r"[!#-\[\]-~]{1,255}", re.ASCII)
_STANDARD_PARTS = 2  # AS:VALUE (RFC 1997); a large community has three (RFC 8092)


class Token(str):
    """Text that was proven harmless at its place in BIRD's configuration."""

    __slots__ = ()


_typed = only(Token, int, IPv4Address, IPv6Address, IPv4Network, IPv6Network)


@dataclass(frozen=True, slots=True)
class _Family:
    """What of one IP version the templates print; ``bits`` is the prefix length of one host."""

    version: int
    networks: tuple[Network, ...] = ()
    vips: tuple[Address, ...] = ()

    @property
    def bits(self) -> int:
        return _HOST_BITS[self.version]

    @property
    def hosts_only(self) -> Token:
        """Behind a prefix in a set: of what lies inside, only prefixes of one host (BIRD manual, prefix sets)."""
        return Token(f"{{{self.bits},{self.bits}}}")


@dataclass(frozen=True, slots=True)
class _Audience:
    """The routers to which one export filter speaks. One of this node's own AS would drop a path with that AS in it."""

    filter: Token
    internal: bool


_EXTERNAL = _Audience(Token(f"{PREFIX}export"), internal=False)
_INTERNAL = _Audience(Token(f"{PREFIX}internal"), internal=True)


@dataclass(frozen=True, slots=True)
class _Session:
    """One BGP session as the template prints it."""

    name: Token
    peer: Peer
    password: Token | None
    filter: Token


def protocol_name(peer: Peer) -> Token:
    """The name of the peer's session in BIRD.

    Raises:
        ConfigError: it cannot be a name, or something of ours has it.
    """
    name = PREFIX + peer.name
    if not _NAME.fullmatch(name):
        raise _refused("bgp.peers: name", "use small letters, digits and _")
    if name in _OWN_NAMES:
        raise _refused(f"bgp.peers: name: {peer.name}", "write another name; the appliance uses this one itself")
    return Token(name)


def render_config(config: Config) -> str:
    """The whole ``bird.conf`` of a node whose BIRD is ours.

    Raises:
        ConfigError: a value cannot stand in BIRD's configuration.
    """
    internal = {peer.as_number == config.bgp.local_as for peer in config.bgp.peers}
    return _render(
        "bird.conf.j2",
        **_policy(config, [audience for audience in (_EXTERNAL, _INTERNAL) if audience.internal in internal]),
        router_id=config.node.router_id,
        uplinks=[_quoted("node.uplinks", name) for name in config.node.uplinks],
        bfd=any(peer.bfd for peer in config.bgp.peers),
        sessions=[_session(peer, config.bgp.local_as) for peer in config.bgp.peers],
    )


def render_snippet(config: Config) -> str:
    """What the operator of a BIRD of his own puts into its ``bird.conf``: the filters and the include of our VIPs.

    Raises:
        ConfigError: a value cannot stand in BIRD's configuration.
    """
    return _render("snippet.conf.j2", **_policy(config, [_EXTERNAL, _INTERNAL]))


def render_include(vips: Collection[Address]) -> str:
    """The include file that announces ``vips``: one static protocol for each IP version, even where it is empty.

    Its filters are those of ``render_preference``, which BIRD must have read before.

    Raises:
        ConfigError: a VIP has an IPv6 scope.
    """
    return _render("vips.conf.j2", families=_by_version(vips))


def render_preference(avoided: Collection[Address] = (), *, node_avoided: bool = False) -> str:
    """The include file that marks VIPs by which routers had better avoid this node: ``avoided``, or all of them.

    The mark is the community GRACEFUL_SHUTDOWN; what else it means to a router, the export filters say.

    Raises:
        ConfigError: a VIP has an IPv6 scope.
    """
    families = _by_version(() if node_avoided else avoided)
    return _render("preference.conf.j2", families=families, all=node_avoided, mark=Token(GRACEFUL_SHUTDOWN))


def _by_version(vips: Collection[Address]) -> list[_Family]:
    ordered = sorted(frozenset(vips), key=address_order)
    return [_Family(version, vips=tuple(vip for vip in ordered if vip.version == version)) for version in _HOST_BITS]


def _policy(config: Config, audiences: list[_Audience]) -> dict[str, object]:
    """What the filters let out, with which attributes, and where the VIPs are included from."""
    families = [
        _Family(version, networks=tuple(network for network in config.networks if network.version == version))
        for version in _HOST_BITS
    ]
    communities = [tuple(int(part) for part in community.split(":")) for community in config.bgp.communities]
    return {
        "families": [family for family in families if family.networks],
        "audiences": audiences,
        "local_as": config.bgp.local_as,
        "med": config.bgp.med,
        "deprefer": config.bgp.deprefer,
        "mark": Token(GRACEFUL_SHUTDOWN),
        "communities": [parts for parts in communities if len(parts) == _STANDARD_PARTS],
        "large_communities": [parts for parts in communities if len(parts) > _STANDARD_PARTS],
        "include": _quoted("bird.include_dir", f"{config.bird.include_dir}/*.conf"),
    }


def _session(peer: Peer, local_as: int) -> _Session:
    secret = peer.password
    password = None if secret is None else _quoted(f"bgp.peers: {peer.name}: password", secret.get_secret_value())
    audience = _INTERNAL if peer.as_number == local_as else _EXTERNAL
    return _Session(protocol_name(peer), peer, password, audience.filter)


def _quoted(place: str, text: str) -> Token:
    """The text as a string of BIRD, which has no escapes (conf/cf-lex.l). Errors do not show it: it may be secret."""
    if not _QUOTABLE.fullmatch(text):
        raise _refused(place, "use printable ASCII without spaces, double quotes and backslashes, 255 at most")
    return Token(f'"{text}"')


def _only_typed(value: object) -> object:
    """Let a value into the text: jinja2 calls this with everything that a template prints."""
    if isinstance(value, IPv6Address) and value.scope_id is not None:
        raise _refused(f"address {value.packed.hex()}", "write a global address without %")
    return _typed(value)


def _refused(place: str, remedy: str) -> ConfigError:
    return ConfigError((f"{place}: cannot stand in BIRD's configuration ({remedy})",))


def _render(name: str, **values: object) -> str:
    return _TEMPLATES.get_template(name).render(values)


_TEMPLATES = templates("bird", _only_typed)
