"""A service is recognised by its bytes up to what is counted, and by nothing that only looks like their end."""

import struct
from dataclasses import replace
from ipaddress import IPv4Address, ip_address

import pytest

from appliance.ipvs import codec
from appliance.ipvs.attributes import Service
from appliance.model.plan import AddService
from appliance.model.service import Protocol, ServiceFlag, ServiceKey, VirtualService
from appliance.netlink.message import attribute, attributes

WEB = VirtualService(ServiceKey(IPv4Address("10.50.0.1"), Protocol.TCP, 80), "mh", ServiceFlag.SCHEDULER_1)
# A time-out whose bytes are those of the head of the netmask, which is where the configuration ends.
LIKE_A_NETMASK = struct.unpack("=I", struct.pack("=HH", 8, Service.NETMASK))[0]


def from_the_kernel(service: VirtualService, packets: int) -> bytes:
    """The service as ip_vs_genl_fill_service orders it: totals stand at the end."""
    nest = attributes(codec.encode_steps([AddService(service)])[0], 4)[1]
    totals = attribute(1, struct.pack("=I", packets))
    return bytes(4) + attribute(1, nest + attribute(Service.STATS, totals) + attribute(Service.STATS64, totals))


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(WEB, id="IPv4"),
        pytest.param(
            replace(WEB, key=replace(WEB.key, vip=ip_address("2001:db8::1")), persistence_prefix=128), id="IPv6"
        ),
        pytest.param(replace(WEB, scheduler="lblcr"), id="a name of another length"),
        pytest.param(replace(WEB, persistence_s=LIKE_A_NETMASK), id="a time-out that looks like the head of a netmask"),
        pytest.param(replace(WEB, persistence_prefix=24), id="a netmask"),
    ],
)
def test_a_service_with_totals_is_read_as_it_is_configured(service: VirtualService) -> None:
    assert codec.decode_service(from_the_kernel(service, packets=7)) == service


def test_a_service_is_the_same_value_whatever_was_counted() -> None:
    assert codec.decode_service(from_the_kernel(WEB, 7)) is codec.decode_service(from_the_kernel(WEB, LIKE_A_NETMASK))


def test_a_change_of_the_netmask_alone_is_seen() -> None:
    assert codec.decode_service(from_the_kernel(replace(WEB, persistence_prefix=24), 7)) != WEB
