"""What happens to a director under a real systemd. Run inside: story.py FILE faults|isolated|shutdown [MESSAGE-ID...].

``faults``: killed, hung, crashing. ``isolated``: one with a network namespace of its own, killed. ``shutdown``: the
machine is switched off. What it saw is JSON.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DIRECTOR, WILL = "balanced-director.service", "balanced-last-will.service"
CRASH = Path("/run/balanced/crash")


def systemctl(*arguments: str) -> str:
    done = subprocess.run(["/usr/bin/systemctl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    return (done.stdout + done.stderr).strip()


def shown(unit: str, what: str) -> str:
    return systemctl("show", "--value", "-p", what, unit)


def pid() -> int:
    return int(shown(DIRECTOR, "MainPID") or 0)


def within(seconds: float, condition: Callable[[], object]) -> float:
    """Seconds until the condition held; ends the story where it does not in time."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            states = {unit: systemctl("status", "--no-pager", unit) for unit in (DIRECTOR, WILL, "bird.service")}
            raise TimeoutError(json.dumps(states, indent=1))
        time.sleep(0.05)
    return time.monotonic() - started


def is_back(former: int) -> bool:
    return shown(DIRECTOR, "ActiveState") == "active" and pid() not in (0, former)


def after(number: signal.Signals, bound_s: float) -> float:
    """Seconds from a signal until another director is ready."""
    former = pid()
    os.kill(former, number)
    return within(bound_s, lambda: is_back(former))


def wills() -> int:
    """When the last will was carried out last; 0 for never."""
    return int(shown(WILL, "ExecMainStartTimestampMonotonic") or 0)


def journal(*arguments: str) -> str:
    """What the journal holds."""
    command = ["/usr/bin/journalctl", "--file=/run/log/journal/*/*.journal", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def routes() -> str:
    return subprocess.run(["/usr/sbin/birdc", "show route all"], capture_output=True, text=True, check=False).stdout


def limits(process: int) -> dict[str, str]:
    """What the kernel says that the process may do."""
    lines = (line.split(":\t") for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":\t" in line)
    return dict(line for line in lines if line[0] in ("Uid", "Groups", "CapEff", "NoNewPrivs", "Seccomp"))


def start() -> dict[str, object]:
    """A director that serves, and what it may do."""
    told: dict[str, object] = {"started": systemctl("start", "bird.service", DIRECTOR)}
    if shown(DIRECTOR, "ActiveState") != "active":
        raise RuntimeError(f"{journal()}{told}\n{systemctl('status', '--no-pager', DIRECTOR, 'bird.service')}")
    told["limits"] = limits(pid())
    within(20, lambda: shown(DIRECTOR, "StatusText").startswith("1 of 1"))
    told["status"] = shown(DIRECTOR, "StatusText")
    told["place"] = Path("/run/balanced/place").read_text()
    return told


def network(namespace: str, what: str) -> list[dict[str, Any]]:
    """What ``ip`` shows in a network namespace."""
    command = ["/usr/sbin/ip", "-n", namespace, "-j", *what.split()]
    shown: list[dict[str, Any]] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return shown


def isolated() -> dict[str, object]:
    """A host with one uplink, whose director has a namespace of its own."""
    subprocess.run(["/usr/sbin/ip", "link", "add", "eth0", "type", "veth", "peer", "name", "away0"], check=True)
    subprocess.run(["/usr/sbin/ip", "link", "set", "eth0", "up"], check=True)
    told = start()
    name = Path("/run/netns/lvs")
    told["addresses"] = [each["local"] for link in network("lvs", "address") for each in link["addr_info"]]
    told["routes"] = [each["dst"] for each in network("lvs", "route")]
    told["forwarding"] = Path("/proc/sys/net/ipv4/conf/eth0/forwarding").read_text().strip()
    before = name.stat().st_ino
    told["killed"] = after(signal.SIGKILL, 10)
    told["same namespace"] = name.stat().st_ino == before
    told["place again"] = Path("/run/balanced/place").read_text()
    return told


def faults() -> dict[str, object]:
    """Everything, in order."""
    told = start()
    told["killed"] = [after(signal.SIGKILL, 10), after(signal.SIGKILL, 10)]
    told["hung"] = after(signal.SIGSTOP, 40)
    told["wills before"] = wills()
    told["routes before"] = routes()
    systemctl("reset-failed", DIRECTOR)
    CRASH.touch()
    os.kill(pid(), signal.SIGKILL)
    told["lost"] = within(30, lambda: wills() and shown(WILL, "ActiveState") in ("inactive", "failed"))
    told["will"] = [shown(WILL, "Result"), shown(WILL, "ExecMainStatus")]
    told["routes after"] = routes()
    CRASH.unlink()
    systemctl("reset-failed", DIRECTOR)
    told["again"] = systemctl("start", DIRECTOR)
    within(20, lambda: shown(DIRECTOR, "ActiveState") == "active")
    systemctl("stop", DIRECTOR)
    for identifier in sys.argv[3:]:
        told[identifier] = journal("-o", "json", f"MESSAGE_ID={identifier}").splitlines()
    told["kept"] = sorted(path.name for path in Path("/run/balanced").iterdir())
    return told


def shutdown() -> dict[str, object]:
    """What a power-off does to the units that play a part, in its order."""
    units = (DIRECTOR, "bird.service", "network.target", "uplink.service")
    told = start()
    systemctl("start", "uplink.service")
    told["before"] = {unit: shown(unit, "ActiveState") for unit in units}
    systemctl("start", "shutdown.target")
    within(40, lambda: all(shown(unit, "ActiveState") in ("inactive", "failed") for unit in units))
    told["stops"] = Path("/opt/told/order").read_text().splitlines()
    return told


try:
    story = {"faults": faults, "isolated": isolated, "shutdown": shutdown}[sys.argv[2]]
    Path(sys.argv[1]).write_text(json.dumps(story(), indent=1))
finally:
    os.kill(1, signal.SIGRTMIN + 14)  # systemd(1): power off at once, which ends this namespace
