"""What is read of a host out of files: a host made of folders."""

from pathlib import Path

import pytest

from appliance.host import files
from appliance.host.files import HostFiles
from appliance.model.host import Listener, Nic

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ANY4, ANY6 = "0" * 8, "0" * 32
LOOP6 = "00000000000000000000000001000000"


@pytest.fixture
def host(tmp_path: Path) -> HostFiles:
    """One link with hardware behind it, one without; sockets that listen and one that does not."""
    texts = {
        "sys/module/ip_vs/parameters/conn_tab_bits": "20\n",
        "sys/class/net/eth0/device/vendor": "0x8086\n",
        "sys/class/net/eth0/queues/rx-0/rps_cpus": "00000000,00000000\n",
        "sys/class/net/eth0/queues/rx-1/rps_cpus": "00000000,0000000f\n",
        "sys/class/net/dummy0/queues/rx-0/rps_cpus": "0\n",
        "proc/sys/net/ipv4/conf/all/rp_filter": "1\n",
        "proc/sys/net/ipv4/conf/eth0/rp_filter": "2\n",
        "proc/sys/net/ipv4/conf/eth1/rp_filter": "0\n",
        "proc/self/status": "Name:\tpython\nCapEff:\t0000000000003000\n",
        "proc/thread-self/net/tcp": HEAD
        + f"   0: {ANY4}:0016 {ANY4}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1\n"
        + f"   1: 0100007F:1FBB {ANY4}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 2 1\n"
        + f"   2: {ANY4}:9C40 0101010A:0050 01 00000000:00000000 00:00000000 00000000 0 0 3 1\n",
        "proc/thread-self/net/tcp6": HEAD
        + f"   0: {ANY6}:00B3 {ANY6}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4 1\n"
        + f"   1: {LOOP6}:0016 {ANY6}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 5 1\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return HostFiles(tmp_path / "proc", tmp_path / "sys")


def test_the_connection_table_is_read(host: HostFiles) -> None:
    assert host.conn_tab_bits() == 20


def test_the_larger_filter_of_a_link_and_of_all_is_in_effect(host: HostFiles) -> None:
    """A link that is not there has none."""
    assert host.rp_filter(["eth0", "eth1", "eth2"]) == {"eth0": 2, "eth1": 1}


def test_links_of_hardware_are_told_from_others(host: HostFiles) -> None:
    assert host.hardware() == ("eth0",)


def test_queues_are_counted_and_one_that_is_spread_is_seen(host: HostFiles) -> None:
    assert host.nic("eth0") == Nic("eth0", rx_queues=2, spread=True)
    assert host.nic("dummy0") == Nic("dummy0", rx_queues=1, spread=False)


def test_only_listeners_on_all_addresses_are_found(host: HostFiles) -> None:
    assert host.listeners() == (Listener(4, 22), Listener(6, 179))


def test_capabilities_are_read_by_number(host: HostFiles) -> None:
    assert host.capabilities() == frozenset({12, 13})
    assert host.capabilities(77) is None


def test_a_host_that_shows_nothing_is_no_error(tmp_path: Path) -> None:
    nowhere = HostFiles(tmp_path / "proc", tmp_path / "sys")
    assert (nowhere.conn_tab_bits(), nowhere.hardware(), nowhere.listeners()) == (None, (), ())
    assert nowhere.nic("eth0") == Nic("eth0")


@pytest.mark.parametrize(
    ("release", "version", "numbers"),
    [
        ("6.1.0-37-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22)", (6, 1, 140)),
        ("6.12.117+deb13-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-10-31)", (6, 12, 117)),
        ("6.18.44-custom", "#1 SMP", (6, 18, 44)),
        ("7.0-rc1", "#1 SMP", (7, 0, 0)),
        ("strange", "", (0, 0, 0)),
    ],
)
def test_the_version_that_runs_is_read_and_not_that_of_its_series(
    release: str, version: str, numbers: tuple[int, int, int]
) -> None:
    assert files.kernel_version(release, version) == numbers


def test_a_place_is_told_with_what_is_free(tmp_path: Path) -> None:
    found = files.place("director.state_dir", tmp_path)
    assert (found.exists, found.writable) == (True, True)
    assert found.free_bytes > 0
    assert not files.place("director.state_dir", tmp_path / "nowhere").exists


def test_a_secret_in_a_closed_directory_is_not_open(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "secret").write_text("x")
    (folder / "secret").chmod(0o644)
    folder.chmod(0o750)
    (found,) = files.secrets({"kubeconfig": folder / "secret", "other": folder / "nowhere"})
    assert (found.key, found.mode) == ("kubeconfig", 0o640)


def test_the_clock_says_whether_somebody_keeps_it() -> None:
    assert files.clock().synchronised in (True, False, None)
