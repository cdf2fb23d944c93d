"""The host under the director: what is installed, loaded, set, listening and filtered on a node as it is delivered."""

from pathlib import Path
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


@pytest.mark.image
def test_a_node_that_nobody_configured_runs_no_director_and_that_is_no_failure(host: Any) -> None:
    assert not host.file("/etc/balanced/appliance.yaml").exists
    assert host.check_output("systemctl show -P ActiveState -P ConditionResult balanced-director").split() == [
        "inactive",
        "no",
    ]


def test_nothing_listens_but_what_is_meant_to(host: Any) -> None:
    """sshd, the exporter, a director once it is configured, and on loopback the resolver."""
    listening = {line.split()[3] for line in host.check_output("ss -Htln").splitlines()}
    public = {each.rsplit(":", 1)[1] for each in listening if not each.startswith(("127.", "[::1]"))}
    ours = {"8123", "8124"} if host.file("/etc/balanced/appliance.yaml").exists else set()
    assert public <= {"22", "9100", "179"} | ours


@pytest.mark.parametrize("unit", ["nftables.service", "apt-daily.timer", "apt-daily-upgrade.timer"])
def test_what_nobody_needs_cannot_start(host: Any, unit: str) -> None:
    assert host.run(f"systemctl is-enabled {unit}").stdout.strip() == "masked"


@pytest.mark.parametrize(
    ("path", "mode", "owner"),
    [
        ("/etc/balanced-host/filter.nft", 0o600, "root"),
        ("/etc/modprobe.d/balanced-ip-vs.conf", 0o644, "root"),
        ("/etc/shadow", 0o640, "root"),
        ("/etc/ssh/ssh_host_ed25519_key", 0o600, "root"),
        ("/etc/systemd/system/balanced-director.service", 0o644, "root"),
        ("/opt/balanced", 0o755, "root"),
        ("/opt/balanced/current/bin/balanced", 0o755, "root"),
        ("/run/balanced", 0o755, "balanced"),
    ],
)
def test_the_file_is_its_owners_and_nobody_elses_to_write(host: Any, path: str, mode: int, owner: str) -> None:
    found = host.file(path)
    assert (oct(found.mode), found.user) == (oct(mode), owner)


def test_the_director_runs_as_a_user_that_cannot_log_in(host: Any) -> None:
    user = host.user("balanced")
    assert user.uid < 1000
    assert user.shell == "/usr/sbin/nologin"
    assert "bird" in user.groups


def test_nothing_but_folders_for_all_is_for_all_to_write(host: Any) -> None:
    """A folder that all may write to is one where each may remove only what is his (the sticky bit)."""
    assert host.check_output("find / -xdev -perm -0002 ! -type l ! -perm -1000") == ""


def test_every_file_has_an_owner_that_is_known(host: Any) -> None:
    assert host.check_output(r"find / -xdev \( -nouser -o -nogroup \)") == ""


@pytest.mark.image
def test_packages_are_debians_and_security_fixes_are_among_their_sources(host: Any) -> None:
    """Whatever mirror the image was built from, a node does not know it."""
    named = host.check_output("cat /etc/apt/sources.list.d/*").splitlines()
    assert [line for line in named if line.startswith(("URIs:", "Suites:"))] == [
        "URIs: http://deb.debian.org/debian",
        "Suites: trixie trixie-updates",
        "URIs: http://deb.debian.org/debian-security",
        "Suites: trixie-security",
    ]
    assert not host.file("/etc/apt/sources.list").exists


@pytest.mark.image
def test_the_list_of_packages_that_is_published_is_what_the_node_has(host: Any, published: Path) -> None:
    listed = {line for line in (published / "packages.txt").read_text().splitlines() if line.startswith("deb ")}
    found = host.check_output(r"dpkg-query --show --showformat 'deb ${Package} ${Version}\n'")
    assert set(found.splitlines()) == listed


def test_the_host_filter_drops_what_nobody_asked_for(host: Any) -> None:
    chain = host.check_output("nft list chain inet balanced_host input")
    assert "policy drop" in chain
    assert "tcp dport 22 accept" in chain


@pytest.mark.disk
@pytest.mark.image
def test_state_outlasts_an_update_of_the_system(host: Any) -> None:
    for path in ("/etc/balanced", "/var/lib/balanced", "/var/log/journal"):
        assert host.check_output(f"findmnt -no SOURCE {path}").startswith("/dev/vda5")


@pytest.mark.disk
@pytest.mark.image
def test_the_slot_that_runs_is_the_one_that_has_proven_itself(host: Any) -> None:
    assert "balanced.slot=a" in host.file("/proc/cmdline").content_string
    assert "good=a" in host.check_output("grub-editenv /efi/EFI/debian/grubenv list").splitlines()


@pytest.mark.netboot
def test_a_node_from_the_network_has_its_root_in_memory_and_waits_for_no_disk(host: Any) -> None:
    assert host.check_output("findmnt -no FSTYPE,OPTIONS /").startswith("overlay rw,")
    assert host.check_output("findmnt -no FSTYPE /run/netboot/root") == "squashfs"
    assert host.check_output("systemctl list-units --type=mount --plain --no-legend '*persist*' 'efi*'") == ""


def test_every_python_package_is_of_the_wheelhouse(host: Any) -> None:
    assert host.run("/opt/balanced/current/bin/pip check").rc == 0
    assert host.run("ls -d /opt/balanced/current/lib/python3*/site-packages/systemd_python-*.dist-info").rc == 0
