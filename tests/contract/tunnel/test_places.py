"""Visits to a real namespace: what stands there is found, and the visitor comes home."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address, ip_network

import pytest

from appliance.errors import ContainerGone
from appliance.model.tunnel import TunnelVip
from appliance.tunnel.place import HERE, Places
from tests.netns import Namespace

POOL = ip_network("10.50.0.0/24")
CONTAINER = "a" * 64


@pytest.fixture
def pid() -> Iterator[int]:
    """A process in a namespace with a tunnel device, or what is named like one where the kernel has no tunnels."""
    with ExitStack() as stack:
        pod = stack.enter_context(Namespace())
        pod.run("ip", "link", "add", "veth0", "mtu", "1468", "type", "veth", "peer", "name", "eth0")
        if "tunl0" in pod.run("ip", "link", "show"):
            pod.run("ip", "link", "set", "tunl0", "mtu", "1468")
        else:
            pod.run("ip", "link", "set", "veth0", "name", "tunl0")
        for address in ("10.50.0.1/32", "192.0.2.1/32", "10.50.0.2/24"):
            pod.run("ip", "address", "add", address, "dev", "tunl0")
        with pod.entered():
            process = stack.enter_context(subprocess.Popen(["sleep", "infinity"]))
        stack.callback(process.kill)
        yield process.pid


def test_i7_the_vips_of_an_agent_before_this_one_are_found(pid: int) -> None:
    """Whole addresses of the pools, and how large the header of their tunnels is: 1500 less 1468."""
    here = HERE.stat().st_ino
    with Places(lambda address: address in POOL) as places:
        found = asyncio.run(places.find(pid, CONTAINER))
    assert found == {TunnelVip(ip_address("10.50.0.1"), 32)}
    assert HERE.stat().st_ino == here


def test_a_process_that_is_gone_has_no_vips() -> None:
    with Places(lambda address: address in POOL) as places, pytest.raises(ContainerGone):
        asyncio.run(places.find(2**22 + 1, CONTAINER))
