"""A director that runs with what its unit leaves it: its own user, one capability, a file system that is read-only."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.bird.render import render_config
from appliance.cli.units import files
from appliance.config.load import load
from tests.lab.hosts import Process, output_of, wait_until
from tests.lab.serving import STARTED_WITHIN_S, Serving, daemon_config
from tests.lab.topology import TREE, Director, build_lab

VIP, LATER = "10.50.0.1", "10.50.0.2"
UID, BIRD_GID = 64990, 64991
NET_ADMIN = 12  # linux/capability.h
EROFS, EACCES = "Read-only file system", "Permission denied"


def unit_of(director: Director) -> str:
    """The unit that would run this director; its state lies elsewhere in the lab than systemd would have it."""
    config = load(director.folder / "appliance.yaml")
    usual = config.director.model_copy(update={"state_dir": Path("/var/lib/balanced")})
    made = files(config.model_copy(update={"director": usual}), Path("/etc/appliance.yaml"), Path("/usr/bin/balanced"))
    return made[Path("/etc/systemd/system/balanced-director.service")]


def hardening(director: Director) -> list[str]:
    """The command under which a director has the capabilities and folders of its unit, and no others."""
    unit, folder = unit_of(director), director.folder
    capabilities = [f"+{each.lower()}" for each in re.findall(r"^CapabilityBoundingSet=CAP_(\S+)$", unit, re.MULTILINE)]
    writable = re.findall(r"^ReadWritePaths=-(\S+)$", unit, re.MULTILINE)
    folders = {str(folder / "run"), str(folder / "state"), *writable}
    script = str(TREE / "tests/lab/hardened.sh")
    return ["unshare", "--mount", "sh", script, ",".join(capabilities), sys.base_prefix, " ".join(sorted(folders))]


def give(director: Director) -> None:
    """Make users and permissions as systemd-tmpfiles would, for users that the lab has only by number."""
    folder = director.folder
    for name in ("run", "include", "state"):
        (folder / name).mkdir(exist_ok=True)
        os.chown(folder / name, UID, UID)
    for path, mode in ((folder, 0o2770), (folder / "bird.conf", 0o640), (folder / "bird.ctl", 0o660)):
        os.chown(path, 0, BIRD_GID)
        path.chmod(mode)


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """One director that runs as under its unit."""
    with build_lab() as lab:
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services)
        lab.serve(VIP, LATER)
        serving.write("web", VIP)
        director = lab.directors[0]
        director.write("appliance.yaml", daemon_config(director, services))
        (director.folder / "include").mkdir()
        director.start_bird(render_config(load(director.folder / "appliance.yaml")))
        give(director)
        serving.start(director, under=hardening(director))
        yield serving


def daemon(serving: Serving) -> Process:
    return serving.daemons["director1"]


def test_a_vip_is_announced_by_a_director_that_may_do_no_more_than_its_unit_lets_it(serving: Serving) -> None:
    serving.wait_for(VIP, {"director1"}, within_s=2 * STARTED_WITHIN_S)

    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{daemon(serving).popen.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split()[1] == str(UID)
    assert {int(status[each], 16) for each in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {1 << NET_ADMIN}
    assert status["NoNewPrivs"] == "1"


def test_traffic_flows_through_it(serving: Serving) -> None:
    serving.wait_for(VIP, {"director1"}, within_s=2 * STARTED_WITHIN_S)

    assert serving.lab.client.spread(VIP, 20)


def test_it_announces_what_comes_later_and_withdraws_what_goes(serving: Serving) -> None:
    serving.write("later", LATER)
    serving.wait_for(LATER, {"director1"})
    (serving.services / "later.yaml").unlink()
    serving.wait_for(LATER, set())


def test_fault_39_it_goes_on_where_no_process_and_no_thread_can_be_made(serving: Serving) -> None:
    """What it does from now on it does with the threads that it has."""
    pid, director = str(daemon(serving).popen.pid), serving.lab.directors[0]
    serving.wait_for(VIP, {"director1"}, within_s=2 * STARTED_WITHIN_S)
    limit = output_of(["prlimit", "--noheadings", "--raw", "--output", "SOFT,HARD", "--nproc", "--pid", pid])
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    output_of(["prlimit", "--pid", pid, "--nproc=0:0"])
    try:
        director.run(["ipvsadm", "-C"])
        wait_until(lambda: f"-A -t {VIP}:80" in director.run(["ipvsadm", "-Sn"]), 10, "the repair")
        serving.write("later", LATER)
        serving.wait_for(LATER, {"director1"})
        (serving.services / "later.yaml").unlink()
        serving.wait_for(LATER, set())
        director.run(["curl", "-s", "http://127.0.0.1:8123/metrics"])
        serving.await_passes(director, 24)
    finally:
        output_of(["prlimit", "--pid", pid, f"--nproc={':'.join(limit.split())}"])
    assert daemon(serving).running
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == threads
    assert serving.lab.router.routes_to(VIP) == {"director1"}


def test_nothing_was_denied_that_it_needs(serving: Serving) -> None:
    """Settings of the kernel are the boot's business; it says which are not as they should be."""
    wait_until(lambda: VIP in daemon(serving).text(), STARTED_WITHIN_S, "the VIP in the log")
    lines = [line for line in daemon(serving).text().splitlines() if EROFS in line or EACCES in line]

    assert [line for line in lines if "host setting" not in line] == []
