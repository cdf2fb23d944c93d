"""The host under the director: what is installed, loaded, set, listening and filtered on a node as it is delivered."""

from typing import Any

import pytest

PACKAGES = ("bird2", "ipvsadm", "nftables", "libnftables1", "linux-image-amd64", "firmware-bnx2x", "shim-signed")
# The first upload of the series with all fixes of IPVS that are known to matter.
LEAST_KERNEL = (6, 12, 115)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_package_is_there(host: Any, name: str) -> None:
    assert host.package(name).is_installed


def test_the_kernel_has_the_known_fixes_of_ipvs(host: Any) -> None:
    version = host.check_output("uname -r").split("+")[0].split("-")[0]
    assert tuple(map(int, version.split("."))) >= LEAST_KERNEL


def test_no_unit_has_failed(host: Any) -> None:
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""


def test_the_node_has_come_up_and_runs(host: Any) -> None:
    assert host.run("systemctl is-system-running --wait").stdout.strip() == "running"


@pytest.mark.parametrize("module", ["ip_vs", "ip_vs_mh", "ipip", "dummy"])
def test_the_module_is_loaded(host: Any, module: str) -> None:
    assert module in host.check_output("ls /sys/module").split()


def test_the_connection_table_is_larger_than_debians(host: Any) -> None:
    """2^20 buckets are asked for; on a machine with little memory the kernel takes fewer (ip_vs_conn_init)."""
    assert int(host.file("/sys/module/ip_vs/parameters/conn_tab_bits").content_string) >= 16


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("net.ipv4.vs.sloppy_tcp", 1),
        ("net.ipv4.vs.schedule_icmp", 1),
        ("net.ipv4.vs.expire_nodest_conn", 1),
        ("kernel.panic_on_oops", 1),
        ("net.ipv4.conf.all.accept_redirects", 0),
    ],
)
def test_the_setting_is_in_force(host: Any, key: str, value: int) -> None:
    assert host.sysctl(key) == value


@pytest.mark.parametrize(
    "unit",
    ["balanced-director", "bird", "ssh", "balanced-host-filter", "prometheus-node-exporter", "systemd-timesyncd"],
)
def test_the_unit_starts_at_boot(host: Any, unit: str) -> None:
    assert host.service(unit).is_enabled


def test_a_node_that_nobody_configured_runs_no_director_and_that_is_no_failure(host: Any) -> None:
    assert not host.file("/etc/balanced/appliance.yaml").exists
    assert host.check_output("systemctl show -P ActiveState -P ConditionResult balanced-director").split() == [
        "inactive",
        "no",
    ]


def test_nothing_listens_but_what_is_meant_to(host: Any) -> None:
    """sshd, the exporter, and on loopback the resolver. BIRD without sessions listens to nobody."""
    listening = {line.split()[3] for line in host.check_output("ss -Htln").splitlines()}
    public = {each.rsplit(":", 1)[1] for each in listening if not each.startswith(("127.", "[::1]"))}
    assert public <= {"22", "9100", "179"}


def test_the_host_filter_drops_what_nobody_asked_for(host: Any) -> None:
    chain = host.check_output("nft list chain inet balanced_host input")
    assert "policy drop" in chain
    assert "tcp dport 22 accept" in chain


def test_state_outlasts_an_update_of_the_system(host: Any) -> None:
    for path in ("/etc/balanced", "/var/lib/balanced", "/var/log/journal"):
        assert host.check_output(f"findmnt -no SOURCE {path}").startswith("/dev/vda5")


def test_the_slot_that_runs_is_the_one_that_has_proven_itself(host: Any) -> None:
    assert "balanced.slot=a" in host.file("/proc/cmdline").content_string
    assert "good=a" in host.check_output("grub-editenv /efi/EFI/debian/grubenv list").splitlines()


def test_every_python_package_is_of_the_wheelhouse(host: Any) -> None:
    assert host.run("/opt/balanced/current/bin/pip check").rc == 0
    assert "systemd-python" in host.check_output("/opt/balanced/current/bin/pip list --format freeze")
