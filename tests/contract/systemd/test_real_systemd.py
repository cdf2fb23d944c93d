"""The units under a systemd of their own: its restarts, its watchdog, its hardening. Run as root, with real BIRD."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.bird.render import render_include, render_preference
from appliance.cli.units import files
from appliance.config.load import load
from appliance.telemetry import messages
from tests.contract.bird.real_bird import eventually
from tests.unit.director.harness import VIP

HERE = Path(__file__).parent
TREE = HERE.parents[2]
SITE = Path(pytest.__file__).parents[1]
NET_ADMIN = 12  # linux/capability.h

CONFIG = """node: {name: lb1, router_id: 10.0.0.11}
pools: [{name: public, cidrs: [10.50.0.0/24]}]
sources: {file: {path: services}}
bgp: {local_as: 64512, manage: include, peers: [{name: tor1, address: 10.0.0.1, as: 64500}]}
"""
STARTER = """#!/bin/sh
exec env LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/tree:/opt/site PYTHONDONTWRITEBYTECODE=1 \
/opt/python/bin/python3 /opt/tree/tests/contract/systemd/stand_in.py
"""
BIRD = """[Service]
RuntimeDirectory=bird
ExecStart=/usr/sbin/bird -f -u bird -g bird -c /etc/bird/bird.conf -s /run/bird/bird.ctl
"""
BIRD_CONF = """router id 10.0.0.11;
protocol device { }
include "/run/balanced/bird/*.conf";
"""
# The unit's hardening applies to its own processes alone, so the story is told by another one.
STORY = """[Unit]
DefaultDependencies=no
Wants=systemd-journald.service
After=systemd-journald.service
[Service]
ExecStart=/opt/python/bin/python3 -I -S /opt/tree/tests/contract/systemd/story.py /opt/told/story.json {ids}
StandardOutput=file:/opt/told/story.log
StandardError=file:/opt/told/story.log
"""
JOURNALD = """[Unit]
DefaultDependencies=no
[Service]
Type=notify
ExecStart=/lib/systemd/systemd-journald
"""
JOURNALD_CONF = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\n"
TARGET = "[Unit]\nDefaultDependencies=no\nWants=story.service\n"
# What any unit depends on by default, with nothing behind it.
MILESTONES = ("sysinit.target", "basic.target", "shutdown.target", "network.target", "system.slice", "-.slice")


@contextmanager
def own_cgroup() -> Iterator[list[str]]:
    """A control group for one systemd, and the command that enters it; what it leaves there goes with it."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    top = next(Path(fields[1]) for fields in mounts if fields[2] == "cgroup2")
    here = next(line[4:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::/"))
    group = Path(tempfile.mkdtemp(prefix="balanced-test-", dir=top / here))
    try:
        yield ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(group)]
    finally:
        eventually(lambda: "populated 0" in (group / "cgroup.events").read_text())
        for each in sorted(group.rglob("*/"), reverse=True):
            each.rmdir()
        group.rmdir()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What story.py saw."""
    folder = tmp_path_factory.mktemp("systemd")
    (folder / "appliance.yaml").write_text(CONFIG)
    made = files(load(folder / "appliance.yaml"), Path("/etc/balanced/appliance.yaml"), Path("/etc/balanced/starter"))
    story = STORY.format(ids=" ".join(each.id for each in (messages.LOST, messages.STARTING)))
    more = {"test.target": TARGET, "story.service": story, "bird.service": BIRD, "systemd-journald.service": JOURNALD}
    more |= dict.fromkeys(MILESTONES, "[Unit]\nDefaultDependencies=no\n")
    texts = {**made, **{Path("/etc/systemd/system") / name: text for name, text in more.items()}}
    texts |= {Path("/etc/balanced/starter"): STARTER, Path("/etc/bird/bird.conf"): BIRD_CONF}
    texts |= {Path("/etc/systemd/journald.conf"): JOURNALD_CONF}
    texts |= {
        # What a director has announced stands there before BIRD starts, in place of tmpfs after a boot.
        Path("/etc/balanced/bird/balanced-preference.conf"): render_preference(),
        Path("/etc/balanced/bird/balanced-vips.conf"): render_include([VIP]),
    }
    for place, text in texts.items():
        target = folder / "root" / place.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (folder / "root/etc/balanced/starter").chmod(0o755)
    namespaces = ["--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup"]
    script = ["sh", str(HERE / "own_systemd.sh"), str(folder), str(TREE), str(SITE), sys.base_prefix]
    with own_cgroup() as enter:
        argv = [*enter, "unshare", *namespaces, *script]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=150, check=False)
    log = folder / "story.log"
    assert (folder / "story.json").exists(), (log.read_text() if log.exists() else "") + done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "story.json").read_text())
    return found


def test_a_director_becomes_ready_under_the_units_hardening(told: dict[str, Any]) -> None:
    limits = told["limits"]
    assert limits["Uid"].split() == ["990"] * 4
    assert "105" in limits["Groups"].split()
    assert int(limits["CapEff"], 16) == 1 << NET_ADMIN
    assert (limits["NoNewPrivs"], limits["Seccomp"]) == ("1", "2")


def test_systemctl_status_says_how_it_is(told: dict[str, Any]) -> None:
    assert told["status"] == "1 of 1 VIPs announced; 2 of 2 BGP sessions up"


def test_fault_1_a_killed_director_is_back_within_seconds_and_no_last_will_is_read(told: dict[str, Any]) -> None:
    assert max(told["killed"]) < 5
    assert told["wills before"] == 0


def test_fault_2_a_director_that_hangs_is_ended_by_the_watchdog(told: dict[str, Any]) -> None:
    assert 10 < told["hung"] < 25


def test_fault_3_a_crash_loop_ends_with_the_last_will_within_30_s(told: dict[str, Any]) -> None:
    assert told["lost"] < 30
    assert told["will"] == ["success", "0"]
    assert "(65535,0)" not in told["routes before"]
    assert f"{VIP}/32" in told["routes after"]
    assert "(65535,0)" in told["routes after"]


def test_the_last_wills_line_is_filed_under_its_own_identifier(told: dict[str, Any]) -> None:
    """The unit adds it: the script knows nothing of the journal but priorities."""
    (line,) = map(json.loads, told[messages.LOST.id])
    assert line["MESSAGE"] == "the director is lost: routes are de-preferred (reconfigured)"
    assert line["PRIORITY"] == "4"
    assert line["SYSLOG_IDENTIFIER"] == "balanced-director"


def test_a_director_that_systemd_started_sends_its_fields_to_the_journal(told: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in told[messages.STARTING.id]]
    assert lines[0]["_TRANSPORT"] == "journal"
    assert lines[0]["BALANCED_NODE"] == "lb1"


def test_what_a_director_adopts_outlives_it(told: dict[str, Any]) -> None:
    """RuntimeDirectoryPreserve=yes: otherwise BIRD's include files would go with the director."""
    assert {"bird", "last-will.json"} <= set(told["kept"])
