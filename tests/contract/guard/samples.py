"""Guards that the tests of this folder share."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from appliance.model.guard import FlowLimit, Guard, GuardRule
from appliance.model.service import Protocol, ServiceKey


def key(vip: str, port: int, protocol: Protocol = Protocol.TCP) -> ServiceKey:
    return ServiceKey(ip_address(vip), protocol, port)


WEB = GuardRule(key("10.50.0.1", 80))
TLS = GuardRule(key("10.50.0.1", 443))
DNS6 = GuardRule(key("2001:db8:50::1", 53, Protocol.UDP))
OFFICE = GuardRule(key("10.50.0.1", 22), (ip_network("192.0.2.0/24"), ip_network("198.51.100.7")))
OFFICE6 = GuardRule(key("2001:db8:50::1", 22), (ip_network("2001:db8:7::/48"),))
LIMITED = GuardRule(key("10.50.0.2", 80), None, FlowLimit(key("10.50.0.2", 80), 5))

NARROW = Guard(
    pools=(ip_network("10.50.0.0/24"), ip_network("2001:db8:50::/64")),
    own=frozenset(map(ip_address, ("10.50.0.250", "2001:db8:50::250"))),
    vips=frozenset(map(ip_address, ("10.50.0.1", "2001:db8:50::1"))),
    rules=frozenset({WEB, DNS6}),
)
WIDE = replace(
    NARROW,
    vips=NARROW.vips | {LIMITED.key.vip},
    rules=frozenset({WEB, TLS, DNS6, OFFICE, OFFICE6, LIMITED}),
)
