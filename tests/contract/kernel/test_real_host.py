"""Preparing a real host: the settings of a fresh network namespace, the modules of a real kernel."""

import pytest

from appliance.errors import KernelError
from appliance.host.kernel import HostKernel
from appliance.host.prepare import IPVS_SYSCTLS, wanted_modules


def test_a_fresh_namespace_is_prepared_once_and_every_setting_is_one_that_the_kernel_has() -> None:
    host = HostKernel()
    before = host.read(sysctl.key for sysctl in IPVS_SYSCTLS)
    assert set(before) == {sysctl.key for sysctl in IPVS_SYSCTLS}
    prepared = host.prepare(wanted_modules(["mh", "rr"], ipv6=True), IPVS_SYSCTLS)
    assert prepared.problems == ()
    assert {(change.key, change.old) for change in prepared.changes} <= set(before.items())
    assert host.read(before) == {sysctl.key: sysctl.value for sysctl in IPVS_SYSCTLS}
    assert host.prepare([], IPVS_SYSCTLS).changes == ()


def test_a_module_that_no_kernel_has_is_a_problem_or_for_ipvs_itself_an_error() -> None:
    (problem,) = HostKernel().prepare(["ip_vs_nosuch"], []).problems
    assert problem.where == "kernel module ip_vs_nosuch"
    with pytest.raises(KernelError, match="load module ip_vs"):
        HostKernel(sys_module=HostKernel().modules / "nowhere", load=lambda _: 1).prepare(["ip_vs"], [])
