"""What is served on the wire: the guard that the tests with packets put into force."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from appliance.model.guard import FlowLimit, Guard, GuardRule, Refusal
from appliance.model.service import Protocol
from tests.contract.guard.samples import key
from tests.contract.guard.wire import OWN, OWN6, VIP, VIP2, VIP6

BOTH = (VIP, VIP6)
LIMIT = FlowLimit(key(VIP2, 80), 5)
GUARD = Guard(
    pools=(ip_network("10.50.0.0/24"), ip_network("2001:db8:50::/64")),
    own=frozenset(map(ip_address, (OWN, OWN6))),
    vips=frozenset(map(ip_address, (VIP, VIP2, VIP6))),
    rules=frozenset(
        {
            *(GuardRule(key(vip, port)) for vip in BOTH for port in (80, 443)),
            *(GuardRule(key(vip, 53, Protocol.UDP)) for vip in BOTH),
            GuardRule(key(VIP, 8080), (ip_network("192.0.2.0/24"),)),
            GuardRule(key(VIP6, 8080), (ip_network("2001:db8:7::/64"),)),
            GuardRule(key(VIP2, 80), None, LIMIT),
            GuardRule(key(VIP6, 8443), None, replace(LIMIT, first=key(VIP6, 8443))),
            GuardRule(key(VIP6, 36412, Protocol.SCTP), None, replace(LIMIT, first=key(VIP6, 36412, Protocol.SCTP))),
            GuardRule(key(VIP2, 36412, Protocol.SCTP), None, replace(LIMIT, first=key(VIP2, 36412, Protocol.SCTP))),
            GuardRule(key(VIP2, 53, Protocol.UDP), None, replace(LIMIT, per_s=1)),
        }
    ),
)
REJECTING = replace(GUARD, refusal=Refusal.REJECT)
