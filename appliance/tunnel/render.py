"""Rules of a backend's namespace -> the text that nftables reads. Same values, same bytes (I6).

nftables sets a segment size only where the new one is smaller (``nft_exthdr_tcp_set_eval``): a peer that asked for less
is left alone.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from appliance.model.address import address_order
from appliance.model.tunnel import Rules
from appliance.templating.render import only, templates

TABLE = "balanced_tunnel"

_FAMILIES = {4: "ipv4", 6: "ipv6"}
_SOURCES = {4: "ip saddr", 6: "ip6 saddr"}


class Token(str):
    """Text that was made of checked values for its place in a ruleset."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Lock:
    """Who may send through tunnels of one IP version; ``directors`` is empty where nobody may."""

    family: Token
    source: Token
    directors: Token
    ports: Token


@dataclass(frozen=True, slots=True)
class _Clamp:
    source: Token
    vip: Token
    mss_bytes: int


def render_nftables(rules: Rules) -> str:
    """The whole table, in place of whatever stands there under its name, in one transaction."""
    return _TEMPLATES.get_template("tunnel.nft.j2").render(
        table=Token(TABLE), locks=_locks(rules), clamps=_clamps(rules)
    )


def _locks(rules: Rules) -> list[_Lock]:
    if rules.directors is None:
        return []
    ports = Token(", ".join(str(port) for port in sorted(rules.ports)))
    return [
        _Lock(
            Token(_FAMILIES[version]),
            Token(_SOURCES[version]),
            Token(", ".join(_part(each) for each in rules.directors if each.version == version)),
            ports,
        )
        for version in _FAMILIES
    ]


def _clamps(rules: Rules) -> list[_Clamp]:
    ordered = sorted(rules.clamps, key=lambda each: address_order(each.vip))
    return [_Clamp(Token(_SOURCES[each.vip.version]), _part(each.vip), each.mss_bytes) for each in ordered]


def _part(value: object) -> Token:
    """An address or a network. A subclass could print what it likes, and a zone may be nearly any text."""
    if type(value) not in {IPv4Address, IPv6Address, IPv4Network, IPv6Network}:
        raise TypeError(f"a rule holds a {type(value).__name__}, which nothing has checked")
    if isinstance(value, IPv6Address) and value.scope_id is not None:
        raise ValueError("an address with a zone in a rule")
    return Token(value)


_TEMPLATES = templates("nftables", only(Token, int))
