"""Addresses as people write them, read strictly."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from socket import AF_INET, inet_pton

from appliance.errors import SourceError
from appliance.model.address import Address, Network
from appliance.sources.nodes import shown

_WITH_PORT = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<v4>[0-9.]+)):\d+")
# Without masks such as /255.0.0.0 and zones, both of which ip_network takes.
_RANGE = re.compile(r"[0-9a-fA-F.:]+(/(0|[1-9][0-9]{0,2}))?")
_FIRST_MULTICAST = 224
_PARTLY_UNUSABLE = frozenset({127, 169})
_BROADCAST = IPv4Address("255.255.255.255")


def parse_vip(text: str) -> Address:
    """The address of a virtual service.

    Raises:
        SourceError: it is not exactly one usable unicast address; the hint says what to write.
    """
    return _parse(text, "a VIP")


def parse_backend(text: str) -> Address:
    """The address of a real server.

    Raises:
        SourceError: it is not exactly one usable unicast address; the hint says what to write.
    """
    return _parse(text, "a backend")


def parse_source_range(text: str) -> Network:
    """A network of clients; an address alone is a network of one. Host bits count for nothing, as in kube-proxy.

    Raises:
        SourceError: it is no network, or one of IPv4 addresses in IPv6 form, which no packet matches.
    """
    # Kubernetes' validation takes spaces around it (ValidateService, loadBalancerSourceRanges).
    bare = text.strip(" ")
    try:
        network = ip_network(bare if _RANGE.fullmatch(bare) else "", strict=False)
    except ValueError:
        hint = "write one like 192.0.2.0/24 or 2001:db8:7::/48"
        raise SourceError(f"{shown(text)} is not a network of clients", hint=hint) from None
    if isinstance(network.network_address, IPv6Address) and network.network_address.ipv4_mapped:
        raise SourceError(f"{shown(text)} is an IPv4 network in IPv6 form", hint="write the IPv4 network")
    return network


def _parse(text: str, role: str) -> Address:
    return _ordinary(text) or _looked_at_closely(text, role)


def is_ordinary(text: str) -> bool:
    """Whether it is a usual IPv4 address, good as a VIP and as a backend; what is not has to be parsed."""
    return _packed(text) is not None


def _ordinary(text: str) -> IPv4Address | None:
    """Most IPv4 addresses at a tenth of the cost; None for what has to be looked at closely, be it right or wrong."""
    packed = _packed(text)
    return None if packed is None else IPv4Address(packed)


def _packed(text: str) -> bytes | None:
    try:
        # As strict as ip_address: four decimal numbers without leading zeros (glibc, inet_pton4).
        packed = inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return None
    return packed if 0 < packed[0] < _FIRST_MULTICAST and packed[0] not in _PARTLY_UNUSABLE else None


def _looked_at_closely(text: str, role: str) -> Address:
    host, zone, _ = text.partition("%")
    if zone:
        # What follows may be nearly any text, and an IPv6Address would print it.
        raise SourceError(f"{shown(text)} has a zone; {role} is one address", hint=f"write {shown(host)}")
    try:
        address = ip_address(text)
    except ValueError:
        raise _unreadable(text, role) from None
    unusable = _unusable(address)
    if unusable:
        raise SourceError(f"{address} is {unusable}; {role} is a unicast address", hint="write the routed address")
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        raise SourceError(f"{text} is an IPv4 address in IPv6 form", hint=f"write {address.ipv4_mapped}")
    return address


def _unusable(address: Address) -> str:
    """Why the kernel takes no such address as a destination, or no router forwards to it (RFC 1122, 3927, 4291)."""
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_link_local:
        return "a link-local address"
    return "the broadcast address" if address == _BROADCAST else ""


def _unreadable(text: str, role: str) -> SourceError:
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        host = with_port["v6"] or with_port["v4"]
        return SourceError(f"{shown(text)} has a port; {role} is one address", hint=f"write {host}")
    try:
        interface = ip_interface(text)
    except ValueError:
        return SourceError(
            f"{shown(text)} is not an IP address",
            hint="write one like 10.50.0.1 or 2001:db8::1, without leading zeros",
        )
    network = interface.network
    if network.num_addresses == 1:
        return SourceError(f"{text} has a prefix length; {role} is one address", hint=f"write {interface.ip}")
    one = network[1] if interface.ip == network.network_address else interface.ip
    return SourceError(f"{text} is a network; {role} is one address", hint=f"write {one}")
