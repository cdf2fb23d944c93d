"""Two directors on booted machines, behind a router: provisioned, looked at from the client, broken, rebooted.

In this order: each test leaves both directors announcing. Nothing here is faked: IPVS, the guard and packets meet in
one kernel.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.image.bed import Bed
from tests.image.farside import CLIENT, CLOSED_VIPS, DIRECTORS, PORTS, SERVERS, VIPS, address, wait_until
from tests.image.test_image_serves import TOLERATED

pytestmark = pytest.mark.bed
BOTH = tuple(DIRECTORS)
NO_IMAGE = "not (bed or image or disk or netboot or firstboot)"
# What listens on all addresses of a node, among it what a cluster's node would have; and all that is well known.
SCANNED = "1 512 8080 8123 8124 9100 10250"


@pytest.fixture(autouse=True)
def calm(serving: Bed) -> Iterator[None]:
    """Every test begins and ends with all VIPs announced by both."""
    yield
    for vip in (*VIPS, *CLOSED_VIPS):
        serving.announced(vip, *BOTH)


def test_a_second_run_of_the_playbook_changes_nothing(serving: Bed) -> None:
    again = serving.play("site.yml")
    assert (again.status, {host: counts["changed"] for host, counts in again.recap.items()}) == (
        0,
        dict.fromkeys(BOTH, 0),
    ), again.output


def test_check_mode_finds_nothing_to_change(serving: Bed) -> None:
    looked = serving.play("site.yml", "--check", "--diff")
    assert (looked.status, {host: counts["changed"] for host, counts in looked.recap.items()}) == (
        0,
        dict.fromkeys(BOTH, 0),
    ), looked.output


@pytest.mark.parametrize("director", BOTH)
def test_a_provisioned_node_is_as_an_image_is(serving: Bed, director: str) -> None:
    """All that is said of a booted image, but for what is of images alone."""
    where = ["--hosts=ssh://node", f"--ssh-config={serving.directors[director].ssh_config}"]
    files = [f"tests/image/test_image_{name}.py" for name in ("host", "hygiene", "serves")]
    chosen = ["--confcutdir=tests/image", *files, "-m", NO_IMAGE]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *chosen, *where]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("director", BOTH)
def test_the_doctor_finds_nothing_wrong(serving: Bed, director: str) -> None:
    findings = serving.balanced(director, "doctor")["findings"]
    assert [each for each in findings if each["is"] != "ok" and each["check"] not in TOLERATED] == []


@pytest.mark.parametrize("vip", VIPS)
def test_what_asks_a_vip_is_answered_by_all_servers(serving: Bed, vip: str) -> None:
    assert set(serving.far.client(f"ask {vip} --times 20")) == set(SERVERS)


@pytest.mark.parametrize("vip", VIPS)
def test_a_scan_of_a_vip_finds_the_ports_of_the_service_and_no_other(serving: Bed, vip: str) -> None:
    """The same scan finds sshd and the exporter on the node's own address, so it would find them on the VIP."""
    version = 6 if ":" in vip else 4
    assert serving.far.client(f"scan {vip} {SCANNED}")["open"] == list(PORTS)
    own = address(version, DIRECTORS["lb1"])
    assert serving.far.client(f"scan {own} 22 22")["open"] == [22]


@pytest.mark.parametrize("vip", CLOSED_VIPS)
def test_source_ranges_hold(serving: Bed, vip: str) -> None:
    stranger, friend = (address(6 if ":" in vip else 4, CLIENT, host) for host in (2, 3))
    (answer,) = serving.far.client(f"ask {vip} --source {friend}")
    assert answer in SERVERS
    (answer,) = serving.far.client(f"ask {vip} --source {stranger} --within-s 5")
    assert answer.startswith("nobody")


@pytest.mark.parametrize("vip", VIPS)
def test_a_vip_answers_a_ping(serving: Bed, vip: str) -> None:
    assert serving.far.client(f"ping {vip}")["from"] == vip


@pytest.mark.parametrize("vip", VIPS)
def test_a_packet_that_claims_to_come_from_a_vip_is_not_forwarded(serving: Bed, vip: str) -> None:
    """Through a director that was made a router by hand; one with an honest source gets through."""
    version, bits = (6, 64) if ":" in vip else (4, 24)
    target, honest = address(version, SERVERS["s1"], 9), address(version, CLIENT)
    far, node = serving.far.node, serving.directors["lb1"]
    forwarding = "net.ipv4.ip_forward" if version == 4 else "net.ipv6.conf.all.forwarding"
    far.tell(f"ip -n s1 address add {target}/{bits} dev eth0 {'nodad' if version == 6 else ''}")
    far.tell(f"ip -{version} route add {target} via {address(version, DIRECTORS['lb1'])} table 100")
    far.tell(f"ip -{version} rule add iif to_client to {target} lookup 100")
    node.tell(f"sysctl -qw {forwarding}=1")
    try:
        with serving.far.hearing("s1", 7777, until=honest) as heard:
            serving.far.client(f"forge --source {vip} --port 7777 {target}")
            serving.far.client(f"forge --source {honest} --port 7777 {target}")
        assert heard == [honest]
    finally:
        node.tell(f"sysctl -qw {forwarding}=0")
        far.tell(f"ip -{version} rule del lookup 100; ip -{version} route flush table 100")
        far.tell(f"ip -n s1 address del {target}/{bits} dev eth0")


def test_a_flushed_table_is_repaired_and_the_journal_tells_it(serving: Bed) -> None:
    node = serving.directors["lb1"]
    since = node.tell("date +%s").strip()
    before = node.tell("ipvsadm -Sn")
    with serving.far.traffic(*VIPS) as traffic:
        node.tell("ipvsadm -C")
        wait_until(lambda: node.tell("ipvsadm -Sn") == before, "the table to be as it was")
    assert traffic["failures"] == []
    query = f"journalctl --since=@{since} -o json BALANCED_VIP={VIPS[0]}"
    wait_until(lambda: node.tell(query) != "", "the repair in the journal")
    told = [json.loads(line) for line in node.tell(query).splitlines()]
    assert all(each["MESSAGE_ID"] and each["_SYSTEMD_UNIT"] == "balanced-director.service" for each in told)


def test_what_cannot_be_repaired_is_withdrawn_and_comes_back(serving: Bed) -> None:
    """Somebody flushes the table over and over: a fight, and the other director serves."""
    node = serving.directors["lb1"]
    with serving.far.traffic(*VIPS):
        node.tell("systemd-run --quiet --collect --unit=rival sh -c 'while :; do ipvsadm -C; done'")
        try:
            for vip in VIPS:
                serving.announced(vip, "lb2")
        finally:
            node.tell("systemctl stop rival")
        for vip in VIPS:
            serving.announced(vip, *BOTH)


def test_a_director_that_is_killed_comes_back_and_nobody_notices(serving: Bed) -> None:
    node = serving.directors["lb1"]
    before = node.tell("systemctl show -P MainPID balanced-director").strip()
    with serving.far.traffic(*VIPS) as traffic:
        node.tell("systemctl kill --signal=SIGKILL --kill-whom=main balanced-director")
        wait_until(
            lambda: (
                node.tell("systemctl show -P MainPID -P ActiveState balanced-director").split()[-1] == "active"
                and node.tell("systemctl show -P MainPID balanced-director").strip() not in {before, "0"}
            ),
            "the director to be ready again",
        )
        for vip in VIPS:
            serving.announced(vip, *BOTH)
    assert traffic["failures"] == []
    assert traffic["asked"] > 0


def test_while_a_node_reboots_the_other_serves_and_it_comes_back_by_itself(serving: Bed) -> None:
    node = serving.directors["lb1"]
    before = node.tell("cat /proc/sys/kernel/random/boot_id")
    with serving.far.traffic(*VIPS) as traffic:
        node.tell("systemd-run --quiet --on-active=1 systemctl reboot")
        for vip in VIPS:
            serving.announced(vip, "lb2")
        began = time.monotonic()
        for vip in VIPS:
            serving.announced(vip, *BOTH, within_s=900)
        print(f"back after {time.monotonic() - began:.0f} s")
    assert node.tell("cat /proc/sys/kernel/random/boot_id") != before
    assert traffic["failures"] == []
