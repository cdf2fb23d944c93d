"""Which paths are too small for packets of full size, and which VIPs that concerns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide import mtu
from appliance.model.address import Network
from appliance.model.observed import ObservedService
from appliance.model.service import VirtualService
from tests.unit.decide.values import dest, key, net

RACK1, RACK2, RACK6 = net("10.60.1.0/24"), net("10.60.2.0/24"), net("2001:db8:6::/64")


def service(*addresses: str, weight: int = 1) -> ObservedService:
    return ObservedService(VirtualService(key(), "mh"), tuple(dest(each, weight) for each in addresses))


@pytest.mark.parametrize(
    ("needed", "expected"),
    [
        pytest.param(1500, {RACK1: 1499}, id="one byte less is too small, just enough is not"),
        pytest.param(1501, {RACK1: 1499, RACK2: 1500}, id="more is needed"),
        pytest.param(1499, {}, id="all take enough"),
        pytest.param(None, {}, id="disabled"),
    ],
)
def test_a_path_is_too_narrow_below_what_is_needed(needed: int | None, expected: dict[Network, int]) -> None:
    assert mtu.too_narrow({RACK1: 1499, RACK2: 1500, RACK6: 9000}, needed) == expected


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param([service("10.60.2.1")], "", id="no backend there"),
        pytest.param([service("10.60.1.1", weight=0), service("10.60.2.1")], "", id="none that takes traffic"),
        pytest.param([], "", id="no service"),
        pytest.param(
            [service("10.60.2.1", "10.60.1.9")],
            "path MTU too small: 10.60.1.0/24 takes 1400 of 1500 bytes needed",
            id="one backend there",
        ),
        pytest.param(
            [service("10.60.1.9"), service("2001:db8:6::7")],
            "path MTU too small: 2001:db8:6::/64 takes 1300, 10.60.1.0/24 takes 1400 of 1500 bytes needed",
            id="backends of two services, the worst first",
        ),
    ],
)
def test_a_vip_is_concerned_where_a_backend_that_takes_traffic_is(
    services: list[ObservedService], expected: str
) -> None:
    assert mtu.caution(services, {RACK1: 1400, RACK6: 1300}, 1500, 24, 64) == expected


def test_of_many_subnets_the_worst_are_named_and_the_others_counted() -> None:
    narrow = {net(f"10.60.{place}.0/24"): 1400 - place for place in range(6)}
    assert mtu.in_words(narrow, 1500) == (
        "path MTU too small: 10.60.5.0/24 takes 1395, 10.60.4.0/24 takes 1396, 10.60.3.0/24 takes 1397 of 1500 bytes "
        "needed, and 3 more subnets are too small"
    )


@given(st.dictionaries(st.sampled_from([RACK1, RACK2, RACK6]), st.integers(68, 65535)), st.integers(576, 65535))
def test_a_vip_has_a_caution_exactly_when_a_path_of_its_own_is_too_narrow(
    path_mtus: dict[Network, int], needed: int
) -> None:
    narrow = mtu.too_narrow(path_mtus, needed)
    caution = mtu.caution([service("10.60.1.1", "2001:db8:6::1")], narrow, needed, 24, 64)
    assert bool(caution) is any(path_mtus.get(rack, 65535) < needed for rack in (RACK1, RACK6))
