"""The preflight: what each fact about a host is worth, and what is to be done about it."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.doctor import CHECKS, diagnose, verdict
from appliance.decide.kernel_faults import FAULTS, LISTED, faults_of
from appliance.host.prepare import IPVS_SYSCTLS
from appliance.model.finding import Finding, Grade
from appliance.model.host import Clock, Facts, Listener, Module, Nic, OwnAddress, Place, SecretFile

NET_ADMIN = 12
RACK = ip_network("10.1.0.0/24")
CONNTRACK, SLOPPY = IPVS_SYSCTLS[0], IPVS_SYSCTLS[1]


def own(address: str, link: str = "eth0") -> OwnAddress:
    host, _, _ = address.partition("/")
    return OwnAddress(ip_address(host), ip_network(address, strict=False), link)


def place(**changes: Any) -> Place:
    well = Place("director.state_dir", Path("/var/lib/balanced"), True, True, 1 << 30, 100_000)
    return replace(well, **changes)


WELL = Facts(
    kernel=(6, 12, 117),
    modules={"ip_vs": Module.LOADED, "ip_vs_mh": Module.LOADED},
    conn_tab_bits=20,
    wanted=(CONNTRACK, SLOPPY),
    settings={CONNTRACK.key: "0", SLOPPY.key: "1"},
    rp_filter={"eth0": 2, "eth1": 0},
    subnets=frozenset({RACK}),
    path_mtus={RACK: 9000},
    min_path_mtu=1500,
    nics=(Nic("eth0", lro=False, rx_queues=8, rx_ring=1024, rx_ring_max=4096),),
    processors=8,
    bird="2.17.6",
    capabilities=frozenset({NET_ADMIN}),
    needed_capabilities=frozenset({NET_ADMIN}),
    clock=Clock(synchronised=True),
    places=(place(),),
    secrets=(SecretFile("kubeconfig", Path("/etc/balanced/kubeconfig"), 0o640),),
    pools=(ip_network("10.50.0.0/24"),),
    vip_link="dummy-vip-if",
    addresses=(own("10.0.0.11/24"), own("10.50.0.1/32", "dummy-vip-if")),
    listeners=(Listener(4, 22),),
    guarded=True,
)


def test_a_host_with_nothing_wrong_gets_one_line_a_check() -> None:
    findings = diagnose(WELL)
    assert {finding.grade for finding in findings} == {Grade.OK}
    assert [finding.check for finding in findings] == [name for name in CHECKS if name != "reading"]
    assert verdict(findings) is Grade.OK


WRONG = [
    pytest.param("kernel", {"kernel": (5, 10, 0)}, Grade.FAIL, "5.10.0 loses connections", "6.12.115", id="old kernel"),
    pytest.param("kernel", {"kernel": (6, 1, 170)}, Grade.WARN, "older than 6.12", "changelog", id="other series"),
    pytest.param("kernel", {"kernel": (6, 12, 114)}, Grade.WARN, "CVE-2026-74747", "6.12.115", id="one known fault"),
    pytest.param("modules", {"ipvs": "EPERM"}, Grade.FAIL, "IPVS cannot be used: EPERM", "modprobe", id="no IPVS"),
    pytest.param(
        "modules",
        {"modules": {"ip_vs": Module.LOADED, "ip_vs_mh": Module.ABSENT}},
        Grade.FAIL,
        "no ip_vs_mh",
        "linux-image-amd64",
        id="no scheduler",
    ),
    pytest.param(
        "modules",
        {"modules": {"ipip": Module.ON_DISK}},
        Grade.WARN,
        "not loaded: ipip",
        "modprobe -a ipip",
        id="on disk",
    ),
    pytest.param(
        "connections", {"conn_tab_bits": 12}, Grade.WARN, "4096 buckets", "conn_tab_bits=20", id="connection table"
    ),
    pytest.param(
        "settings",
        {"settings": {CONNTRACK.key: "1", SLOPPY.key: "1"}},
        Grade.WARN,
        "net.ipv4.vs.conntrack is 1 instead of 0: tracking",
        "sysctl -w net.ipv4.vs.conntrack=0",
        id="a setting",
    ),
    pytest.param(
        "rp_filter", {"rp_filter": {"eth0": 1}}, Grade.WARN, "eth0: rp_filter is strict", "=2", id="rp_filter"
    ),
    pytest.param(
        "links", {"nics": (Nic("eth0", lro=True, rx_queues=8),)}, Grade.WARN, "LRO is on", "lro off", id="LRO"
    ),
    pytest.param(
        "links",
        {"nics": (Nic("eth0", rx_queues=8, rx_ring=256, rx_ring_max=4096),)},
        Grade.WARN,
        "receive ring of 256",
        "ethtool -G eth0 rx 1024",
        id="ring",
    ),
    pytest.param(
        "links", {"nics": (Nic("eth0"),)}, Grade.WARN, "one receive queue for 8 processors", "combined 8", id="queue"
    ),
    pytest.param(
        "backends", {"path_mtus": {}}, Grade.FAIL, "no route to backends in 10.1.0.0/24", "10.1.0.1", id="route"
    ),
    pytest.param(
        "backends", {"path_mtus": {RACK: 1400}}, Grade.FAIL, "10.1.0.0/24 takes 1400 of 1500", "min_path_mtu", id="MTU"
    ),
    pytest.param("backends", {"backends_unknown": "no file"}, Grade.WARN, "no file", "once there is", id="no backends"),
    pytest.param("bird", {"bird_error": "no answer"}, Grade.FAIL, "no answer", "systemctl status bird", id="no BIRD"),
    pytest.param("bird", {"bird": "2.0.7"}, Grade.WARN, "2.0.7 was never tried", "2.0.12", id="old BIRD"),
    pytest.param(
        "permissions",
        {"capabilities": frozenset()},
        Grade.FAIL,
        "this process lacks CAP_NET_ADMIN",
        "root",
        id="no right",
    ),
    pytest.param(
        "permissions",
        {"places": (place(exists=False),)},
        Grade.WARN,
        "/var/lib/balanced does not exist",
        "tmpfiles",
        id="-",
    ),
    pytest.param(
        "permissions",
        {"places": (place(writable=False),)},
        Grade.FAIL,
        "cannot be written to",
        "tmpfiles",
        id="read-only",
    ),
    pytest.param(
        "permissions",
        {"secrets": (SecretFile("kubeconfig", Path("/k"), 0o644),)},
        Grade.WARN,
        "kubeconfig: anybody may read /k",
        "chmod o-rwx /k",
        id="an open secret",
    ),
    pytest.param(
        "clock", {"clock": Clock(synchronised=False)}, Grade.WARN, "nobody keeps the clock", "chrony", id="clock"
    ),
    pytest.param("space", {"places": (place(free_bytes=1 << 20),)}, Grade.WARN, "has 1 MB", "df -h", id="little space"),
    pytest.param("space", {"places": (place(free_bytes=0),)}, Grade.FAIL, "has 0 MB", "df -h", id="no space"),
    pytest.param("space", {"places": (place(free_inodes=0),)}, Grade.FAIL, "and 0 inodes", "df -i", id="no inodes"),
    pytest.param(
        "addresses",
        {"addresses": (own("10.50.0.7/32", "lo"),)},
        Grade.FAIL,
        "lo: 10.50.0.7 is an address of another link of this node too, and it is in a pool",
        "the pool another network",
        id="own address in a pool",
    ),
    pytest.param(
        "addresses",
        {"addresses": (own("10.50.1.7/16"),)},
        Grade.WARN,
        "pool 10.50.0.0/24 overlaps 10.50.0.0/16 on eth0",
        "only routes lead to VIPs",
        id="a pool on a link",
    ),
    pytest.param(
        "open ports", {"guarded": False}, Grade.WARN, "tcp/22 (ssh) on all addresses", "ListenAddress", id="sshd"
    ),
    pytest.param("open ports", {"guarded": None}, Grade.WARN, "is not known", "nft list", id="guard not known"),
    pytest.param(
        "rivals", {"kube_proxy": True}, Grade.FAIL, "kube-proxy in IPVS mode", "ipMode: Proxy", id="kube-proxy"
    ),
    pytest.param(
        "rivals",
        {"kube_proxy": True, "kube_proxy_vips": frozenset(map(ip_address, ("10.50.0.2", "10.50.0.1")))},
        Grade.FAIL,
        "takes 10.50.0.1, 10.50.0.2 for its own: ipMode is not Proxy",
        "ipMode: Proxy",
        id="VIPs that kube-proxy takes",
    ),
    pytest.param("guard", {"guard": "ENOENT"}, Grade.FAIL, "ENOENT", "libnftables1", id="no libnftables"),
    pytest.param("guard", {"guard": None}, Grade.WARN, "disabled", "guard.enabled: true", id="guard disabled"),
    pytest.param("reading", {"unread": ("list addresses: EPERM",)}, Grade.WARN, "EPERM", "as root", id="unread"),
]


@pytest.mark.parametrize(("check", "changes", "grade", "text", "remedy"), WRONG)
def test_what_is_wrong_is_found_graded_and_comes_with_a_remedy(
    check: str, changes: dict[str, Any], grade: Grade, text: str, remedy: str
) -> None:
    findings = diagnose(replace(WELL, **changes))
    wrong = [finding for finding in findings if finding.grade is not Grade.OK]
    (found,) = wrong
    assert (found.check, found.grade) == (check, grade)
    assert text in found.text
    assert remedy in found.remedy
    assert verdict(findings) is grade


def test_every_check_can_find_something_wrong() -> None:
    assert {param.values[0] for param in WRONG} == CHECKS.keys()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"kernel": (6, 18, 44)}, "6.18.44, newer than 6.12", id="new kernel"),
        pytest.param({"settings": {CONNTRACK.key: "0"}}, "1 settings as they should be", id="a setting it lacks"),
        pytest.param({"min_path_mtu": None, "path_mtus": {RACK: 576}}, "with 576 bytes at least", id="any MTU"),
        pytest.param({"nics": (Nic("eth0", spread=True),)}, "eth0: LRO not told", id="one queue that is spread"),
        pytest.param(
            {"nics": (Nic("eth0", lro=False, rx_queues=8, rx_ring=256, rx_ring_max=256),)}, "LRO off", id="ring"
        ),
        pytest.param({"bird": "3.1.7+deb13u1"}, "BIRD 3.1.7+deb13u1 answers", id="BIRD of Debian"),
        pytest.param({"places": (place(free_inodes=None),)}, "has 1024 MB free", id="no inodes to count"),
        pytest.param({"listeners": ()}, "nothing listens on all addresses", id="nothing listens"),
        pytest.param({"addresses": ()}, "none of 0 addresses", id="no address"),
    ],
)
def test_what_speaks_against_nothing_is_well(changes: dict[str, Any], text: str) -> None:
    findings = diagnose(replace(WELL, **changes))
    assert {finding.grade for finding in findings} == {Grade.OK}
    assert any(text in finding.text for finding in findings)


def test_facts_that_nobody_knows_raise_nothing() -> None:
    """A host of which only the kernel could be read."""
    assert verdict(diagnose(Facts(kernel=(6, 12, 117)))) is Grade.OK


def test_every_finding_that_is_not_well_names_a_remedy_and_none_that_is_well_does() -> None:
    for param in WRONG:
        changes: Any = param.values[1]
        assert all(bool(each.remedy) is (each.grade is not Grade.OK) for each in diagnose(replace(WELL, **changes)))


@given(st.integers(0, 200))
def test_a_kernel_has_the_faults_that_later_ones_have_mended(patch: int) -> None:
    assert {fault.mended for fault in faults_of((*LISTED, patch))} == {
        fault.mended for fault in FAULTS if fault.mended[2] > patch
    }


def test_the_worst_finding_is_the_verdict() -> None:
    grades = [Grade.OK, Grade.FAIL, Grade.WARN]
    assert verdict(Finding("", grade, "") for grade in grades) is Grade.FAIL
    assert verdict([]) is Grade.OK


@pytest.mark.parametrize(("guarded", "text"), [(True, "its table is in force"), (False, "no table of ours stands yet")])
def test_whether_the_guard_is_in_force_is_told(guarded: bool, text: str) -> None:  # noqa: FBT001 - a case
    (found,) = (each for each in diagnose(replace(WELL, guarded=guarded)) if each.check == "guard")
    assert found.text.endswith(text)
