"""What is done in a backend's namespace: for any wish and any reading the steps lead there, and touch nothing else."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.tunnel_steps import LOOSE, OFF, reverse_path, rules, steps
from appliance.model.address import Address
from appliance.model.tunnel import (
    DEVICES,
    AddVip,
    Clamp,
    Listener,
    ObservedDevice,
    ObservedTunnel,
    OpenListener,
    RemoveRules,
    Rules,
    SetDeviceMtu,
    SetDeviceUp,
    SetReversePath,
    SetRules,
    TunnelStep,
    TunnelVip,
    TunnelWant,
)
from tests.fakes.tunnel import applied

POOLS = (ip_network("10.50.0.0/28"), ip_network("2001:db8:50::/124"))
DIRECTORS = (ip_network("10.0.11.0/24"),)
VIP, VIP6 = ip_address("10.50.0.1"), ip_address("2001:db8:50::1")


def some_of(first: str) -> st.SearchStrategy[Address]:
    """One of the four addresses from that one on."""
    return st.integers(0, 3).map(lambda number: ip_address(first) + number)


OURS = {4: some_of("10.50.0.0"), 6: some_of("2001:db8:50::")}
FOREIGN = {4: some_of("192.0.2.0"), 6: some_of("2001:db8:99::")}
ours = st.one_of(*OURS.values())
listeners = st.builds(Listener, st.sampled_from([4, 6]), st.integers(6000, 6002))
directors = st.sampled_from([None, (), DIRECTORS])
vips = st.dictionaries(ours, st.sampled_from([20, 32, 40, 52]), max_size=5).map(
    lambda found: frozenset(TunnelVip(address, overhead) for address, overhead in found.items())
)
wants = st.builds(TunnelWant, vips, st.frozensets(listeners, max_size=2), directors).map(
    lambda want: want if want.vips else TunnelWant()
)


@st.composite
def readings(draw: st.DrawFn) -> ObservedTunnel:
    """Anything that might be found in a namespace."""
    devices = {}
    for version, name in DEVICES.items():
        if draw(st.booleans()):
            addresses = draw(st.frozensets(st.one_of(OURS[version], FOREIGN[version]), max_size=4))
            mtu, own = draw(st.sampled_from([1280, 1452, 1460, 1480])), draw(st.integers(0, 2))
            devices[name] = ObservedDevice(draw(st.booleans()), mtu, own, addresses, draw(st.booleans()))
    stands = draw(st.sampled_from([None, Rules()]))
    return ObservedTunnel(
        devices,
        draw(st.sampled_from([1300, 1450, 1500, 9000])),
        draw(st.integers(0, 2)),
        draw(st.frozensets(listeners, max_size=3)),
        stands,
        is_marked=stands is not None or draw(st.booleans()),
    )


def owned(address: Address) -> bool:
    return any(address in pool for pool in POOLS)


def after(seen: ObservedTunnel, todo: tuple[TunnelStep, ...]) -> ObservedTunnel:
    for step in todo:
        seen = applied(seen, step)
    return seen


@given(wants, readings(), st.frozensets(listeners, max_size=3))
def test_i4_after_all_steps_there_is_nothing_left_to_do(
    want: TunnelWant, seen: ObservedTunnel, opened: frozenset[Listener]
) -> None:
    then = after(seen, steps(want, seen, owned=owned, opened=opened))
    assert steps(want, then, owned=owned, opened=opened) == ()


@given(wants, readings(), st.data())
def test_i4_a_crash_between_any_two_steps_heals(want: TunnelWant, seen: ObservedTunnel, data: st.DataObject) -> None:
    todo = steps(want, seen, owned=owned)
    half = after(seen, todo[: data.draw(st.integers(0, len(todo)))])
    whole = after(half, steps(want, half, owned=owned))
    assert steps(want, whole, owned=owned) == ()
    if want.vips:
        assert whole == after(seen, todo)


@given(wants, readings(), st.frozensets(listeners, max_size=3))
def test_i5_what_is_not_ours_stands_as_before(
    want: TunnelWant, seen: ObservedTunnel, opened: frozenset[Listener]
) -> None:
    then = after(seen, steps(want, seen, owned=owned, opened=opened))
    for name, device in seen.devices.items():
        strangers = {address for address in device.addresses if not owned(address)}
        assert strangers <= then.devices[name].addresses
        assert then.devices[name].has_more == device.has_more
        assert not (device.up and (strangers or device.has_more)) or then.devices[name].up
    assert seen.listeners - opened <= then.listeners


@given(wants, readings())
def test_exactly_the_wanted_vips_stand_of_ours(want: TunnelWant, seen: ObservedTunnel) -> None:
    then = after(seen, steps(want, seen, owned=owned))
    standing = {address for device in then.devices.values() for address in device.addresses if owned(address)}
    assert standing == want.addresses


@given(wants, readings())
def test_the_lock_is_on_before_anything_comes_out_of_the_tunnel(want: TunnelWant, seen: ObservedTunnel) -> None:
    todo = steps(want, seen, owned=owned)
    places = [place for place, step in enumerate(todo) if isinstance(step, SetRules | RemoveRules)]
    opening = [place for place, step in enumerate(todo) if isinstance(step, SetDeviceUp | AddVip | OpenListener)]
    assert all(place < min(opening, default=len(todo)) for place in places if isinstance(todo[place], SetRules))
    assert all(place == len(todo) - 1 for place in places if isinstance(todo[place], RemoveRules))


def test_a_bare_namespace_gets_everything_in_this_order() -> None:
    want = TunnelWant(frozenset({TunnelVip(VIP, 32)}), frozenset({Listener(4, 5555)}), DIRECTORS)
    seen = ObservedTunnel({"tunl0": ObservedDevice(mtu_bytes=1480)}, 1500, rp_filter=1)
    assert steps(want, seen, owned=owned) == (
        SetRules(Rules(frozenset({Clamp(VIP, 1428)}), DIRECTORS, frozenset({5555}))),
        SetDeviceMtu("tunl0", 1468),
        SetReversePath("tunl0", LOOSE),
        SetDeviceUp("tunl0"),
        OpenListener(Listener(4, 5555)),
        AddVip(VIP),
    )


@pytest.mark.parametrize(
    ("vip", "overhead_bytes", "link_mtu_bytes", "mss_bytes"),
    [
        pytest.param(VIP, 20, 1500, 1440, id="IPv4 in IPv4: as BalanceD, MTU - 20 - 40"),
        pytest.param(VIP6, 40, 1500, 1400, id="IPv6 in IPv6: 40 for the tunnel, 60 for IPv6 and TCP"),
        pytest.param(VIP, 32, 1450, 1378, id="GUE over an overlay"),
        pytest.param(VIP, 20, 9000, 8940, id="jumbo frames"),
    ],
)
def test_segments_leave_room_for_the_tunnel(
    vip: Address, overhead_bytes: int, link_mtu_bytes: int, mss_bytes: int
) -> None:
    want = TunnelWant(frozenset({TunnelVip(vip, overhead_bytes)}))
    assert rules(want, link_mtu_bytes).clamps == {Clamp(vip, mss_bytes)}


def test_ipv6_never_gets_a_link_below_1280_bytes() -> None:
    """It would lose its addresses."""
    want = TunnelWant(frozenset({TunnelVip(VIP6, 40)}))
    assert SetDeviceMtu("ip6tnl0", 1280) in steps(want, ObservedTunnel(link_mtu_bytes=1300), owned=owned)


@pytest.mark.parametrize(("for_all", "own"), [(0, OFF), (1, LOOSE), (2, LOOSE)])
def test_the_reverse_path_filter_lets_the_tunnel_through(for_all: int, own: int) -> None:
    """The kernel takes the larger of the two: 0 where that is off for all links, else loose."""
    assert reverse_path(for_all) == own


def test_a_namespace_that_was_never_ours_is_left_as_it_is() -> None:
    seen = ObservedTunnel({"tunl0": ObservedDevice(True, 1480, 1, frozenset({ip_address("192.0.2.1")}))})
    assert steps(TunnelWant(), seen, owned=owned) == ()
