"""Who stands at the ends of the way into a namespace, and what the host has to be set to."""

from ipaddress import ip_address, ip_network

import pytest

from appliance.host.prepare import IPVS_SYSCTLS, changes, uplink_sysctls
from appliance.isolation.plan import Passage, inside_end, outside_end, outside_sysctls, split

V4, V6 = ip_network("10.9.0.10/31"), ip_network("2001:db8:9::10/127")


@pytest.mark.parametrize(
    ("network", "outside", "inside"),
    [
        ("10.9.0.10/31", "10.9.0.10", "10.9.0.11"),
        ("10.9.0.8/30", "10.9.0.9", "10.9.0.10"),
        ("2001:db8:9::10/127", "2001:db8:9::10", "2001:db8:9::11"),
        ("2001:db8:9::8/126", "2001:db8:9::9", "2001:db8:9::a"),
    ],
)
def test_the_ends_are_the_first_two_hosts(network: str, outside: str, inside: str) -> None:
    ends = ip_network(network)
    assert (outside_end(ends), inside_end(ends)) == (ip_address(outside), ip_address(inside))


def test_only_uplinks_forward_ipv4_and_router_advertisements_go_on_to_be_heeded() -> None:
    keys = {each.key: each.value for each in outside_sysctls(Passage((V4, V6), (), ("eth0",)))}
    assert keys == {
        "net/ipv4/conf/eth0/forwarding": "1",
        "net/ipv6/conf/eth0/accept_ra": "2",
        "net/ipv6/conf/all/forwarding": "1",
    }
    assert list(keys)[-1] == "net/ipv6/conf/all/forwarding", "advertised routes are kept before they could go"


def test_a_host_that_heeds_no_router_advertisements_goes_on_so() -> None:
    wanted = outside_sysctls(Passage((V6,), (), ("eth0",)))
    assert changes(wanted, {"net/ipv6/conf/eth0/accept_ra": "0", "net/ipv6/conf/all/forwarding": "1"}) == ()


def test_without_ipv6_pools_ipv6_is_left_alone() -> None:
    assert {each.key for each in outside_sysctls(Passage((V4,), (), ("eth0", "eth1")))} == {
        "net/ipv4/conf/eth0/forwarding",
        "net/ipv4/conf/eth1/forwarding",
    }


def test_settings_of_ipvs_are_the_namespace_s_and_all_others_the_host_s() -> None:
    uplinks = uplink_sysctls(["eth0"])
    assert split((*IPVS_SYSCTLS, *uplinks)) == (IPVS_SYSCTLS, uplinks)
