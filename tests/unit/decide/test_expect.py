"""From a desired service to the reading of the kernel that would be right."""

from itertools import permutations

import pytest

from appliance.decide.expect import expect, expect_service, load_order
from appliance.model.desired import Backend, Desired, DesiredService
from appliance.model.service import IPIP, Destination, Forwarding, ServiceFlag, Tunnel, TunnelType, VirtualService
from tests.unit.decide.values import addr, backend, dest, key, net, wanted

GUE = Tunnel(TunnelType.GUE, port=6080)


def test_a_service_keeps_scheduler_flags_persistence_and_tunnel() -> None:
    sticky = ServiceFlag.PERSISTENT | ServiceFlag.SCHEDULER_1
    service = DesiredService(
        key(port=53), "default/dns", "sh", sticky, GUE, (backend("10.0.0.1", 5),), persistence_s=300
    )

    expected = expect_service(service)

    assert expected.service == VirtualService(key(port=53), "sh", sticky, 300, 32)
    assert expected.destinations == (Destination(addr("10.0.0.1"), 53, 5, Forwarding.TUNNEL, GUE),)


@pytest.mark.parametrize(
    ("given", "weight"),
    [
        pytest.param(backend("10.0.0.1", 3), 3, id="ready"),
        pytest.param(backend("10.0.0.1", 0), 0, id="weight 0"),
        pytest.param(backend("10.0.0.1", 3, ready=False), 0, id="not ready"),
        pytest.param(backend("10.0.1.1", 3), 0, id="no route"),
        pytest.param(backend("fd00:1::1", 3), 0, id="no IPv6 route"),
        pytest.param(backend("fd00::1", 3), 3, id="ready over IPv6"),
    ],
)
def test_a_backend_that_cannot_serve_here_stands_at_weight_0(given: Backend, weight: int) -> None:
    """It stays in place, so that with mh-fallback only its own clients move."""
    dead = frozenset({net("10.0.1.0/24"), net("fd00:1::/64")})

    (destination,) = expect_service(wanted(key(), given), dead).destinations

    assert destination.weight == weight


def test_i9_destinations_are_expected_in_canonical_order_of_both_families() -> None:
    addresses = ["10.0.0.9", "10.0.0.10", "fd00::9", "fd00::10"]

    for shuffled in permutations(addresses):
        expected = expect_service(wanted(key(), *map(backend, shuffled)))

        assert [str(each.address) for each in expected.destinations] == addresses


def test_i9_the_order_of_loading_is_the_reverse_of_the_canonical_one() -> None:
    """The kernel puts each new destination at the head of its list."""
    loaded = load_order([dest("10.0.0.10"), dest("fd00::1"), dest("10.0.0.9")])

    assert [str(each.address) for each in loaded] == ["fd00::1", "10.0.0.10", "10.0.0.9"]


def test_dead_routes_weigh_on_every_service() -> None:
    web, tls = wanted(key(), backend("10.0.0.1")), wanted(key(port=443), backend("10.0.0.1"))

    expected = expect(Desired({web.key: web, tls.key: tls}), frozenset({net("10.0.0.0/24")}))

    assert {name: each.destinations for name, each in expected.items()} == {
        web.key: (dest("10.0.0.1", 0),),
        tls.key: (dest("10.0.0.1", 0, 443),),
    }


def test_an_ipv4_vip_may_have_ipv6_backends_through_the_tunnel() -> None:
    (destination,) = expect_service(wanted(key(), backend("fd00::1"))).destinations

    assert (destination.forwarding, destination.tunnel) == (Forwarding.TUNNEL, IPIP)
