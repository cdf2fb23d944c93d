"""A systemd of its own for the units: what is put there before it starts, and the story that it tells. Run as root."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
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
NET_ADMIN, SYS_ADMIN = 12, 21  # linux/capability.h

CONFIG = """node: {name: lb1, router_id: 10.0.0.11, uplinks: [eth0]}
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
ExecStart=/opt/python/bin/python3 -I -S /opt/tree/tests/contract/systemd/story.py /opt/told/story.json {story} {ids}
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


def tell(folder: Path, story: str, more: str = "", units: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """What story.py saw, with the units of a node whose configuration has ``more`` in it, and ``units`` of the test."""
    (folder / "appliance.yaml").write_text(CONFIG + more)
    made = files(load(folder / "appliance.yaml"), Path("/etc/balanced/appliance.yaml"), Path("/etc/balanced/starter"))
    unit = STORY.format(story=story, ids=" ".join(each.id for each in (messages.LOST, messages.STARTING)))
    others = {"test.target": TARGET, "story.service": unit, "bird.service": BIRD, "systemd-journald.service": JOURNALD}
    others |= dict.fromkeys(MILESTONES, "[Unit]\nDefaultDependencies=no\n")
    others |= units
    texts = {**made, **{Path("/etc/systemd/system") / name: text for name, text in others.items()}}
    texts |= {Path("/etc/balanced/starter"): STARTER, Path("/etc/bird/bird.conf"): BIRD_CONF}
    texts |= {Path("/etc/balanced/appliance.yaml"): CONFIG + more}
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
