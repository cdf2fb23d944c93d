"""Which networks stand for the backends."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.reach import backend_subnets
from appliance.model.address import Address

ADDRESSES = st.one_of(
    st.builds(IPv4Address, st.integers(0, 2**32 - 1)), st.builds(IPv6Address, st.integers(0, 2**128 - 1))
)


def test_backends_of_one_network_make_one_look_up() -> None:
    addresses = [
        ip_address(text) for text in ("10.60.0.1", "10.60.0.200", "10.60.1.1", "2001:db8:6::1", "2001:db8:6::2")
    ]
    expected = {ip_network(text) for text in ("10.60.0.0/24", "10.60.1.0/24", "2001:db8:6::/64")}
    assert backend_subnets(addresses, 24, 64) == expected


def test_no_backends_need_no_network() -> None:
    assert backend_subnets([], 24, 64) == frozenset()


@given(st.lists(ADDRESSES), st.integers(0, 32), st.integers(0, 128))
def test_every_backend_is_in_a_network_and_every_network_has_a_backend(
    addresses: list[Address], prefix_v4: int, prefix_v6: int
) -> None:
    networks = backend_subnets(addresses, prefix_v4, prefix_v6)
    assert all(any(address in network for network in networks) for address in addresses)
    assert all(any(address in network for address in addresses) for network in networks)
    assert {network.prefixlen for network in networks} <= {prefix_v4, prefix_v6}
