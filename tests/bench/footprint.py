"""What a director needs when nothing happens: memory and processor time, with the real daemon and BIRD."""

import json
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from appliance.model.desired import DesiredService
from tests.bench import cluster
from tests.bench.cluster import Node
from tests.bench.figures import Report, say
from tests.bench.workload import services
from tests.lab.topology import Lab, build_lab

SERVICES = 2000
WITHIN_S = 300.0
REST_S = 10.0
WATCH_S = 60.0
MEMORY_WANTED_MB = 120
IDLE_WANTED_PERCENT = 3


def measure(report: Report) -> None:
    """Start one director on 2,000 services, wait until all are announced, and watch it do nothing."""
    with build_lab() as lab:
        write_services(lab.client.folder / "services")
        started_s = time.monotonic()
        node = cluster.start(lab, lab.directors[0])
        cluster.wait([node], lambda: routes(lab) == SERVICES, WITHIN_S, f"{SERVICES} routes at the router")
        report.add(f"daemon start -> {SERVICES} x 10 at the router", time.monotonic() - started_s, "s")
        time.sleep(REST_S)
        watch(report, node)


def write_services(folder: Path) -> None:
    """All services in one file."""
    folder.mkdir(exist_ok=True)
    (folder / "services.json").write_text(short_form(services(SERVICES)))


def short_form(wanted: Iterable[DesiredService]) -> str:
    """These services as a file of the short form holds them."""
    forms = [
        {
            "name": each.owner,
            "vip": str(each.key.vip),
            "ports": [each.key.port],
            "backends": [str(backend.address) for backend in each.backends],
        }
        for each in wanted
    ]
    return json.dumps({"services": forms})


def routes(lab: Lab) -> int:
    """How many IPv4 routes BIRD has at the router; counting is cheap, so that it does not disturb."""
    found = re.search(r"^ *(\d+) of ", lab.router.birdc("show route count table master4"), flags=re.MULTILINE)
    return int(found[1]) if found else 0


def watch(report: Report, node: Node) -> None:
    """Memory at the end of a minute, and the processor time that the minute took."""
    # `ip netns exec` becomes the program that it starts, so the process number is the program's.
    daemon, bird = node.daemon.popen.pid, node.bird.popen.pid
    before, bird_before = cpu_s(daemon), cpu_s(bird)
    started_s = time.monotonic()
    say(f"watching for {WATCH_S:.0f} s")
    time.sleep(WATCH_S)
    elapsed_s = time.monotonic() - started_s
    report.add("director's resident memory", resident_mb(daemon), "MB", most=MEMORY_WANTED_MB)
    percent = 100 * (cpu_s(daemon) - before) / elapsed_s
    report.add(f"director's idle CPU over {elapsed_s:.0f} s", percent, "% of a core", most=IDLE_WANTED_PERCENT)
    report.add("BIRD's CPU in that time", 100 * (cpu_s(bird) - bird_before) / elapsed_s, "% of a core")


def resident_mb(pid: int) -> float:
    """VmRSS of proc(5), in MB of 1,000,000 bytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def cpu_s(pid: int) -> float:
    """User and system time of all threads so far: fields 14 and 15 of proc(5)'s stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
