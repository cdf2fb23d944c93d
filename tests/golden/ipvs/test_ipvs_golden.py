"""IPVS messages byte for byte: ``request-*`` is what we send, ``kernel-*`` is what a Linux 6.1 sent.

``UPDATE_GOLDEN=1 pytest tests/golden`` writes the requests anew; read the difference before you commit it. What the
kernel sent is never written anew. All numbers are little endian.
"""

import os
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from appliance.ipvs import codec
from appliance.ipvs.counters import decode_destination_counters, decode_service_counters
from appliance.model.counters import Counters, DestinationCounters
from appliance.model.plan import (
    AddDestination,
    AddService,
    RemoveDestination,
    RemoveService,
    SetDestination,
    SetService,
)
from appliance.model.service import (
    Destination,
    Forwarding,
    Protocol,
    ServiceFlag,
    ServiceKey,
    Tunnel,
    TunnelFlag,
    TunnelType,
    VirtualService,
)

FOLDER = Path(__file__).parent
LINE_BYTES = 32

MH = ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2
WEB = VirtualService(ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80), "mh", MH)
DNS = VirtualService(ServiceKey(ip_address("2001:db8::50"), Protocol.UDP, 53), "mh", MH)
SIGNALLING = VirtualService(ServiceKey(ip_address("10.50.0.1"), Protocol.SCTP, 2905), "wrr")
STICKY = VirtualService(
    ServiceKey(ip_address("10.50.0.2"), Protocol.TCP, 443), "rr", ServiceFlag.PERSISTENT, 300, persistence_prefix=24
)
STICKY6 = VirtualService(
    ServiceKey(ip_address("2001:db8::51"), Protocol.TCP, 443), "rr", ServiceFlag.PERSISTENT, 300, persistence_prefix=64
)
BOTH = TunnelFlag.CHECKSUM | TunnelFlag.REMOTE_CHECKSUM
IPIP = Destination(ip_address("10.60.0.1"), 80, 1)
GUE = replace(IPIP, weight=3, tunnel=Tunnel(TunnelType.GUE, 5555, BOTH))
GRE = replace(IPIP, weight=0, tunnel=Tunnel(TunnelType.GRE, 0, TunnelFlag.CHECKSUM))
IPV6 = Destination(ip_address("2001:db8:6::1"), 53, 1)
MIXED = Destination(ip_address("10.60.0.1"), 53, 1)
LIMITED = Destination(ip_address("10.60.0.1"), 8080, 9, Forwarding.MASQUERADE, Tunnel(), 200, 100)

REQUESTS = {
    "add-service-ipv4-tcp-mh": codec.encode_steps([AddService(WEB)])[0],
    "add-service-ipv6-udp-mh": codec.encode_steps([AddService(DNS)])[0],
    "add-service-ipv4-sctp-wrr": codec.encode_steps([AddService(SIGNALLING)])[0],
    "add-service-ipv4-persistent": codec.encode_steps([AddService(STICKY)])[0],
    "add-service-ipv6-persistent": codec.encode_steps([AddService(STICKY6)])[0],
    "set-service": codec.encode_steps([SetService(WEB)])[0],
    "remove-service": codec.encode_steps([RemoveService(WEB.key)])[0],
    "add-destination-ipip": codec.encode_steps([AddDestination(WEB.key, IPIP)])[0],
    "add-destination-gue": codec.encode_steps([AddDestination(WEB.key, GUE)])[0],
    "add-destination-gre": codec.encode_steps([AddDestination(WEB.key, GRE)])[0],
    "add-destination-ipv6": codec.encode_steps([AddDestination(DNS.key, IPV6)])[0],
    "add-destination-ipv4-of-ipv6-service": codec.encode_steps([AddDestination(DNS.key, MIXED)])[0],
    "set-destination-thresholds-masquerade": codec.encode_steps([SetDestination(WEB.key, LIMITED)])[0],
    "remove-destination": codec.encode_steps([RemoveDestination(WEB.key, IPIP)])[0],
    "get-services": codec.encode_get_services(),
    "get-service": codec.encode_get_service(WEB.key),
    "get-destinations": codec.encode_get_destinations(DNS.key),
    "get-info": codec.encode_get_info(),
    "get-family": codec.encode_get_family(),
}
SERVICES = {
    "service-ipv4-tcp-mh": WEB,
    "service-ipv6-udp-mh": DNS,
    "service-ipv4-sctp-wrr": SIGNALLING,
    "service-ipv4-persistent": STICKY,
    "service-ipv6-persistent": STICKY6,
    "service-by-firewall-mark": None,
}
DESTINATIONS = {
    "destination-ipip": IPIP,
    "destination-gue": GUE,
    "destination-gre": GRE,
    "destination-ipv6": IPV6,
    "destination-ipv4-of-ipv6-service": MIXED,
    "destination-thresholds-masquerade": LIMITED,
}


def golden(name: str) -> bytes:
    lines = (FOLDER / f"{name}.hex").read_text().splitlines()
    return bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_byte_for_byte_what_is_on_file(name: str) -> None:
    path = FOLDER / f"request-{name}.hex"
    if os.environ.get("UPDATE_GOLDEN"):
        text = REQUESTS[name].hex(" ", 4)
        lines = [text[at : at + LINE_BYTES * 9 // 4].strip() for at in range(0, len(text), LINE_BYTES * 9 // 4)]
        what = name.replace("-", " ")
        path.write_text(f"# Request: {what}; behind the netlink header.\n" + "\n".join(lines) + "\n")
    assert golden(path.stem) == REQUESTS[name]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_the_kernel_sent_is_understood(name: str) -> None:
    assert codec.decode_service(golden(f"kernel-{name}")) == SERVICES[name]


@pytest.mark.parametrize("name", DESTINATIONS)
def test_a_destination_that_the_kernel_sent_is_understood(name: str) -> None:
    assert codec.decode_destination(golden(f"kernel-{name}")) == DESTINATIONS[name]


def test_counters_are_read_from_the_same_messages() -> None:
    counted = Counters(3, 12, 0, 1026, 0, pps_in=1, bps_in=128)
    assert decode_service_counters(golden("kernel-service-busy")) == counted
    assert decode_destination_counters(golden("kernel-destination-busy")) == DestinationCounters(
        inactive=3, totals=counted
    )


def test_what_the_kernel_says_of_itself_is_understood() -> None:
    assert codec.decode_info(golden("kernel-info")) == ((1, 2, 1), 4096)
    assert codec.decode_family(golden("kernel-family")) == 28
