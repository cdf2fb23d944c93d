"""What a service may ask for besides addresses and ports, in the words that files and annotations share."""

import re

from appliance.errors import SourceError
from appliance.model.desired import Announce
from appliance.model.service import IPIP, Tunnel, TunnelFlag, TunnelType
from appliance.sources.nodes import shown

MAX_PORT = 65535
MAX_WEIGHT = 65535
MAX_DRAIN_S = 86400
MAX_NEW_FLOWS_PER_S = 10_000_000

_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")
_TUNNELS = (IPIP, Tunnel(TunnelType.GRE), Tunnel(TunnelType.GRE, flags=TunnelFlag.CHECKSUM))
_PLAIN_TUNNELS = {str(each): each for each in _TUNNELS}
_GUE_OPTIONS = {"": TunnelFlag.NONE, "csum": TunnelFlag.CHECKSUM, "remcsum": TunnelFlag.REMOTE_CHECKSUM}


def parse_weight(text: str) -> int:
    """The weight of a backend, 0 to 65535; 0 takes no new connections.

    Raises:
        SourceError: it is no such number.
    """
    return _number(text, 0, MAX_WEIGHT, "a weight")


def parse_drain_s(text: str) -> int:
    """How long a vanished backend drains, in seconds, 0 to 86400 (a day).

    Raises:
        SourceError: it is no such number.
    """
    return _number(text, 0, MAX_DRAIN_S, "a time in seconds")


def parse_new_flows_per_s(text: str) -> int:
    """How many new flows each VIP of a service takes a second on one node, 1 to 10,000,000.

    Raises:
        SourceError: it is no such number.
    """
    return _number(text, 1, MAX_NEW_FLOWS_PER_S, "a number of new flows a second")


def parse_announce(text: str) -> Announce:
    """How many services of a VIP need ready backends.

    Raises:
        SourceError: it is none of the three words.
    """
    try:
        return Announce(text)
    except ValueError:
        words = ", ".join(each.value for each in Announce)
        raise SourceError(f"{shown(text)} is no way to announce", hint=f"write one of {words}") from None


def parse_tunnel(text: str) -> Tunnel:
    """The encapsulation towards the backends, as a Tunnel prints itself.

    ``ipip``, ``gre``, or ``gue:6080`` with the UDP port it goes to. ``gre,csum`` and ``gue:6080,csum`` add a checksum
    over the whole packet; with ``gue:6080,remcsum`` that is the only one, and the receiver works out the inner one.

    Raises:
        SourceError: it is none of them, or GUE without a port.
    """
    if text in _PLAIN_TUNNELS:
        return _PLAIN_TUNNELS[text]
    head, _, option = text.partition(",")
    kind, _, port = head.partition(":")
    if kind != "gue" or option not in _GUE_OPTIONS or text.endswith(","):
        hint = "write ipip, gre, or one like gue:6080,csum"
        raise SourceError(f"{shown(text)} is not a tunnel", hint=hint)
    if not port:
        raise SourceError("gue needs the UDP port that the backends listen on", hint="write one like gue:6080")
    return Tunnel(TunnelType.GUE, _number(port, 1, MAX_PORT, "a port"), _GUE_OPTIONS[option])


def _number(text: str, least: int, most: int, role: str) -> int:
    if _NUMBER.fullmatch(text) and least <= int(text) <= most:
        return int(text)
    raise SourceError(f"{shown(text)} is not {role}", hint=f"write a whole number from {least} to {most}")
