"""What a director in a namespace of its own is shown: both sides as one."""

import asyncio
import errno
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest

from appliance.errors import KernelError
from appliance.isolation.kernel import Kept
from appliance.isolation.views import BothMonitors, IsolatedLink, IsolatedRoutes, IsolatedSettings
from appliance.model.address import Address
from appliance.model.host import Change, Changed
from appliance.model.plan import AddAddress, EnsureLink
from tests.fakes.kernel import FakeRoutes, FakeVips
from tests.fakes.outside import FakeMonitor

VIP, OTHER = ip_address("10.50.0.1"), ip_address("10.50.0.2")
NEAR, FAR = ip_network("10.60.0.0/24"), ip_network("10.61.0.0/24")

IN_ORDER = Kept()


@dataclass
class FakeWay:
    """The way into the namespace as the test wants it."""

    kept: Kept = IN_ORDER
    cut_off: dict[Address, str] = field(default_factory=dict)
    fault: KernelError | None = None

    def keep(self) -> Kept:
        if self.fault is not None:
            raise self.fault
        return self.kept

    def cut(self, vips: Iterable[Address]) -> dict[Address, str]:
        return {vip: self.cut_off[vip] for vip in vips if vip in self.cut_off}


@pytest.fixture
def link() -> FakeVips:
    vips = FakeVips()
    vips.apply([EnsureLink(), AddAddress(VIP), AddAddress(OTHER)])
    return vips


def test_a_way_in_order_adds_nothing_to_what_the_namespace_shows(link: FakeVips) -> None:
    told: list[str] = []
    assert IsolatedLink(link, FakeWay(), told.append).dump() == link.dump()
    assert told == []


def test_what_was_put_in_order_is_told(link: FakeVips) -> None:
    told: list[str] = []
    IsolatedLink(link, FakeWay(Kept(("vip-veth up", "10.50.0.0/24 via 10.9.0.1"))), told.append).dump()
    assert told == ["vip-veth up, 10.50.0.0/24 via 10.9.0.1"]


def test_a_vip_without_a_way_is_cut_and_no_other(link: FakeVips) -> None:
    assert IsolatedLink(link, FakeWay(cut_off={VIP: "sent elsewhere"}), print).dump().cut == {VIP: "sent elsewhere"}


def test_a_way_that_cannot_be_made_cuts_every_vip(link: FakeVips) -> None:
    cut = IsolatedLink(link, FakeWay(Kept(refused="make link vip-veth: EPERM")), print).dump().cut
    assert cut == dict.fromkeys((VIP, OTHER), "there is no way into the namespace: make link vip-veth: EPERM")


def test_a_way_that_cannot_be_read_proves_nothing(link: FakeVips) -> None:
    """Then the whole reading fails, and nothing changes."""
    way = FakeWay(fault=KernelError("read link", "vip-veth", errno.ENOBUFS))
    with pytest.raises(KernelError, match="ENOBUFS"):
        IsolatedLink(link, way, print).dump()


def test_a_backend_is_reached_only_where_both_sides_have_a_route() -> None:
    inside, outside = FakeRoutes(), FakeRoutes()
    routes = IsolatedRoutes(inside, outside)
    assert routes.path_mtus([NEAR, FAR]).keys() == {NEAR, FAR}
    outside.lose(FAR)
    assert routes.path_mtus([NEAR, FAR]).keys() == {NEAR}
    inside.lose(NEAR)
    assert routes.path_mtus([NEAR, FAR]) == {}


def test_the_narrower_side_is_the_mtu_of_the_path() -> None:
    inside, outside = FakeRoutes(), FakeRoutes()
    outside.set_mtu(1400, FAR)
    assert IsolatedRoutes(inside, outside).path_mtus([NEAR, FAR]) == {NEAR: 1500, FAR: 1400}
    inside.set_mtu(1300)
    assert IsolatedRoutes(inside, outside).path_mtus([NEAR, FAR]) == {NEAR: 1300, FAR: 1300}


@dataclass
class FakeSettings:
    """Settings of which these differ; one that is ``fixed`` cannot be changed."""

    standing: list[Change]
    fixed: bool = False

    def differing(self) -> tuple[Change, ...]:
        return tuple(self.standing)

    def change(self, wanted: Iterable[Change]) -> Changed:
        changes = tuple(wanted)
        assert set(changes) <= set(self.standing), "not of this side"
        if self.fixed:
            return Changed(refused=dict.fromkeys(changes, "read-only"))
        self.standing = [each for each in self.standing if each not in changes]
        return Changed(changes)


def test_each_setting_is_changed_on_its_own_side() -> None:
    ipvs, forwarding = Change("net/ipv4/vs/sloppy_tcp", "0", "1"), Change("net/ipv4/conf/eth0/forwarding", "0", "1")
    both = IsolatedSettings(FakeSettings([ipvs]), FakeSettings([forwarding], fixed=True))
    assert both.differing() == (ipvs, forwarding)
    assert both.change([forwarding, ipvs]) == Changed((ipvs,), {forwarding: "read-only"})
    assert both.differing() == (forwarding,)


def test_a_change_on_either_side_is_told_once() -> None:
    async def story() -> None:
        inside, outside = FakeMonitor(), FakeMonitor()
        changes = BothMonitors(inside, outside).changes()
        for monitor in (inside, outside):
            monitor.report()
            await asyncio.wait_for(anext(changes), 2)
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        assert not waiting.done()
        inside.report()
        outside.report()
        await asyncio.wait_for(waiting, 2)
        await changes.aclose()  # type: ignore[attr-defined]  # an async generator behind its protocol

    asyncio.run(story())


def test_a_subscription_that_ends_is_an_error() -> None:
    class Broken:
        async def changes(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - an async generator
            raise KernelError("hear of", "link and route changes", errno.EIO)
            yield

    async def story() -> None:
        with pytest.raises(KernelError, match="EIO"):
            await anext(BothMonitors(FakeMonitor(), Broken()).changes())

    asyncio.run(story())
