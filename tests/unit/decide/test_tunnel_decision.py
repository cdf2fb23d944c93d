"""Which pods answer for which VIPs, and for how long they keep them."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.linger import Holding, hold
from appliance.decide.tunnel import Decision, decide
from appliance.model.desired import Backend, DesiredService
from appliance.model.pod import Pod, PodKey
from appliance.model.service import Protocol, ServiceKey, Tunnel, TunnelType
from appliance.model.tunnel import Listener, TunnelVip, TunnelWant

POOL, POOL6 = ip_network("10.50.0.0/24"), ip_network("2001:db8:50::/64")
DIRECTORS = (ip_network("10.0.11.0/24"),)
WEB = PodKey("default", "web-1")
GUE = Tunnel(TunnelType.GUE, 5555)


def service(vip: str = "10.50.0.1", backend: str = "10.1.0.1", **fields: Any) -> DesiredService:
    backends = (Backend(ip_address(backend), target="web-1", is_pod=True),)
    made = DesiredService(ServiceKey(ip_address(vip), Protocol.TCP, 80), "default/web", "mh", backends=backends)
    return replace(made, **fields)


def decided(*services: DesiredService, **fields: Any) -> Decision:
    """What is decided for the pod web-1."""
    pods = {WEB: replace(Pod(WEB, container="containerd://a"), **fields)}
    owned = [POOL, POOL6]
    found = decide(services, pods, owned=lambda vip: any(vip in each for each in owned), directors=DIRECTORS)
    return found.get(WEB, Decision())


def test_a_pod_gets_each_vip_once_with_the_room_that_its_largest_tunnel_takes() -> None:
    found = decided(service(), service(tunnel=GUE, owner="default/web2"), service("2001:db8:50::1", "2001:db8:1::1"))
    assert found.want == TunnelWant(
        frozenset({TunnelVip(ip_address("10.50.0.1"), 32), TunnelVip(ip_address("2001:db8:50::1"), 40)}),
        frozenset({Listener(4, 5555)}),
        DIRECTORS,
    )
    assert found.owners == {"default/web", "default/web2"}


@pytest.mark.parametrize(
    ("given_", "fields", "why"),
    [
        pytest.param(service(), {"host_network": True}, "the node's own network", id="hostNetwork"),
        pytest.param(service(), {"ignored_by": "x/tunnel-ignore"}, "annotation x/tunnel-ignore", id="ignored"),
        pytest.param(service("192.0.2.1"), {}, "in no pool", id="outside the pools"),
        pytest.param(service(tunnel=Tunnel(TunnelType.GRE)), {}, "takes GRE apart", id="GRE"),
        pytest.param(service(backend="2001:db8:1::1"), {}, "its tunnel would be IPv6", id="mixed IP versions"),
    ],
)
def test_what_a_pod_cannot_answer_for_is_refused_with_the_reason(
    given_: DesiredService, fields: dict[str, Any], why: str
) -> None:
    found = decided(given_, **fields)
    assert found.want == TunnelWant()
    (said,) = found.refused
    assert why in said
    assert said.startswith(f"Service default/web wants {given_.key.vip} here: ")


@pytest.mark.parametrize(
    "backend",
    [
        Backend(ip_address("10.1.0.1"), target="web-1", is_pod=False),
        Backend(ip_address("10.1.0.1"), target="web-2", is_pod=True),
        Backend(ip_address("10.1.0.1")),
    ],
    ids=["no pod", "another pod", "nobody knows"],
)
def test_a_backend_that_is_not_this_pod_gives_it_nothing(backend: Backend) -> None:
    assert decided(service(backends=(backend,))) == Decision()


def test_a_pod_of_another_namespace_with_the_same_name_gets_nothing() -> None:
    assert decided(service(owner="other/web")) == Decision()


vips = st.frozensets(st.integers(1, 5).map(lambda number: TunnelVip(ip_address("10.50.0.0") + number)), max_size=4)


@given(st.lists(st.tuples(st.floats(0, 50), vips), max_size=12))
def test_a_vip_stands_while_it_is_wanted_and_a_while_after_and_no_longer(
    story: list[tuple[float, frozenset[TunnelVip]]],
) -> None:
    """Against a plain count of when each was wanted last."""
    now_s, linger_s, holding = 0.0, 60.0, Holding()
    lost_s: dict[TunnelVip, float] = {}
    standing: frozenset[TunnelVip] = frozenset()
    for wait_s, wanted in story:
        now_s += wait_s
        holding = hold(holding, TunnelWant(wanted), now_s=now_s, linger_s=linger_s)
        for vip in standing - wanted:
            lost_s.setdefault(vip, now_s)
        for vip in wanted:
            lost_s.pop(vip, None)
        lost_s = {vip: since_s for vip, since_s in lost_s.items() if since_s + linger_s > now_s}
        standing = wanted | lost_s.keys()
        assert holding.want.vips == standing
        assert holding.ends_s >= now_s
