"""The faults that the fake kernels take; what they do without faults, the contract suite proves."""

import errno
from ipaddress import ip_address, ip_network

import pytest

from appliance.errors import KernelError
from appliance.model.plan import AddAddress, AddDestination, AddService, EnsureLink
from appliance.model.service import Destination, Protocol, ServiceKey, VirtualService
from tests.fakes.kernel import FakeIpvs, FakeRoutes, FakeVips

KEY = ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80)
BACKENDS = [Destination(ip_address(f"10.60.0.{host}"), 80, 1) for host in (1, 2, 3)]


def test_the_step_named_fails_and_no_other() -> None:
    ipvs = FakeIpvs()
    ipvs.fail_step(3, errno.ENOMEM)
    results = ipvs.apply([AddService(VirtualService(KEY, "rr")), *(AddDestination(KEY, each) for each in BACKENDS)])
    assert [result.errno for result in results] == [0, 0, errno.ENOMEM, 0]
    assert ipvs.dump()[KEY].destinations == (BACKENDS[2], BACKENDS[0])


def test_a_swallowed_step_says_yes_and_does_nothing() -> None:
    vips = FakeVips()
    vips.swallow_step(2)
    results = vips.apply([EnsureLink(), AddAddress(KEY.vip)])
    assert [result.errno for result in results] == [0, 0]
    assert vips.dump().addresses == frozenset()


def test_readings_fail_until_they_are_mended() -> None:
    routes = FakeRoutes()
    routes.fail_readings(errno.ENOBUFS)
    with pytest.raises(KernelError, match="ENOBUFS"):
        routes.path_mtus([ip_network("10.60.0.0/24")])
    routes.fail_readings(0)
    assert routes.path_mtus([ip_network("10.60.0.0/24")]) == {ip_network("10.60.0.0/24"): 1500}
