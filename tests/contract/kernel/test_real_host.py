"""Preparing a real host: the settings of a fresh network namespace, the modules of a real kernel."""

import socket
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from appliance.cli.facts import gather
from appliance.config.load import load
from appliance.errors import KernelError
from appliance.host import net
from appliance.host.files import HostFiles
from appliance.host.kernel import HostKernel
from appliance.host.prepare import IPVS_SYSCTLS, wanted_modules
from appliance.host.settings import HostSettings
from appliance.isolation.namespace import NAMES, Namespace
from appliance.model.host import Listener, Module, Nic, OwnAddress
from appliance.model.plan import AddAddress, EnsureLink
from appliance.vips.kernel import VipKernel

Ip = Callable[..., None]
ISOLATED = """node: {{name: lb1, router_id: 10.0.0.11, uplinks: [lo]}}
guard: {{enabled: false}}
pools: [{{name: public, cidrs: [10.50.0.0/24]}}]
sources: {{file: {{path: services}}}}
bgp: {{local_as: 64512, peers: [{{name: tor1, address: 10.0.0.1, as: 64500}}]}}
bird: {{control_socket: {folder}/bird.ctl}}
director: {{runtime_dir: {folder}, state_dir: {folder}, netns: doctor, netns_networks: [10.9.0.10/31]}}
"""


def test_a_fresh_namespace_is_prepared_once_and_every_setting_is_one_that_the_kernel_has(tmp_path: Path) -> None:
    host = HostKernel()
    assert host.load_modules(wanted_modules(["mh", "rr"], ipv6=True)).problems == ()
    before = host.read(sysctl.key for sysctl in IPVS_SYSCTLS)
    assert set(before) == {sysctl.key for sysctl in IPVS_SYSCTLS}
    settings = HostSettings(host, IPVS_SYSCTLS, tmp_path / "host-changes.json")
    changed = settings.change(settings.differing())
    assert (changed.refused, changed.unrecorded) == ({}, "")
    assert {(change.key, change.old) for change in changed.made} <= set(before.items())
    assert host.read(before) == {sysctl.key: sysctl.value for sysctl in IPVS_SYSCTLS}
    assert settings.differing() == ()


def test_a_module_that_no_kernel_has_is_a_problem_or_for_ipvs_itself_an_error() -> None:
    (problem,) = HostKernel().load_modules(["ip_vs_nosuch"]).problems
    assert problem.where == "kernel module ip_vs_nosuch"
    with pytest.raises(KernelError, match="load module ip_vs"):
        HostKernel(sys_module=HostKernel().modules / "nowhere", load=lambda _: 1).load_modules(["ip_vs"])


def test_modules_and_the_connection_table_of_a_real_kernel_are_read() -> None:
    HostKernel().load_modules(["ip_vs"])
    assert HostKernel().module("ip_vs") is Module.LOADED
    assert HostKernel().module("ip_vs_nosuch") is Module.ABSENT
    assert HostFiles().conn_tab_bits() in range(8, 28)


def test_addresses_of_all_links_are_read_with_their_networks(ip: Ip) -> None:
    ip("link", "add", "up0", "type", "dummy")
    ip("address", "add", "192.0.2.1/24", "dev", "up0")
    ip("-6", "address", "add", "2001:db8::1/64", "dev", "up0", "nodad")
    assert set(net.own_addresses()) == {
        OwnAddress(ip_address("192.0.2.1"), ip_network("192.0.2.0/24"), "up0"),
        OwnAddress(ip_address("2001:db8::1"), ip_network("2001:db8::/64"), "up0"),
    }


def test_the_features_of_a_link_are_told_and_what_it_has_not_is_unknown(ip: Ip) -> None:
    """A veth has no LRO to turn on, and no rings."""
    ip("link", "add", "up0", "type", "veth", "peer", "name", "down0")
    found = net.with_features(Nic("up0"))
    assert (found.lro, found.rx_ring) == (False, None)
    assert net.with_features(Nic("nosuch")) == Nic("nosuch")


def test_a_vip_that_stands_on_another_link_is_seen_there(ip: Ip) -> None:
    ip("link", "add", "up0", "type", "dummy")
    ip("address", "add", "10.50.0.1/24", "dev", "up0")
    with VipKernel("dummy-vip-if") as vips:
        vips.apply([EnsureLink(), AddAddress(ip_address("10.50.0.1")), AddAddress(ip_address("10.50.0.2"))])
        found = vips.dump()
        assert found.addresses == {ip_address("10.50.0.1"), ip_address("10.50.0.2")}
        assert found.elsewhere == {ip_address("10.50.0.1")}


def test_without_nftables_or_its_table_there_is_no_guard() -> None:
    assert net.guarded("balanced") is False


def test_an_isolated_director_is_judged_by_what_is_in_its_namespace(ip: Ip, tmp_path: Path) -> None:
    HostKernel().load_modules(["ip_vs"])
    sloppy = Path("/proc/sys/net/ipv4/vs/sloppy_tcp")
    config = tmp_path / "appliance.yaml"
    config.write_text(ISOLATED.format(folder=tmp_path))
    ip("netns", "add", "doctor")
    try:
        with Namespace(NAMES / "doctor") as namespace, socket.create_server(("", 0)):
            sloppy.write_text("0")
            namespace.run(sloppy.write_text, "1")
            with namespace.run(socket.create_server, ("", 0)) as inside:
                facts = gather(load(config), config)
                assert facts.listeners == (Listener(4, inside.getsockname()[1]),)
        assert facts.settings["net/ipv4/vs/sloppy_tcp"] == "1"
        assert facts.unread == ()
    finally:
        ip("netns", "delete", "doctor")
    assert "/doctor" in " ".join(gather(load(config), config).unread)
