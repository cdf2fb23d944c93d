"""What happens to a director under a real systemd: killed, hung, crashing. Run inside; tells what it saw as JSON."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

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


def story() -> dict[str, object]:
    """Everything, in order."""
    told: dict[str, object] = {"started": systemctl("start", "bird.service", DIRECTOR)}
    if shown(DIRECTOR, "ActiveState") != "active":
        raise RuntimeError(f"{journal()}{told}\n{systemctl('status', '--no-pager', DIRECTOR, 'bird.service')}")
    told["limits"] = limits(pid())
    within(20, lambda: shown(DIRECTOR, "StatusText").startswith("1 of 1"))
    told["status"] = shown(DIRECTOR, "StatusText")
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
    for identifier in sys.argv[2:]:
        told[identifier] = journal("-o", "json", f"MESSAGE_ID={identifier}").splitlines()
    told["kept"] = sorted(path.name for path in Path("/run/balanced").iterdir())
    return told


try:
    Path(sys.argv[1]).write_text(json.dumps(story(), indent=1))
finally:
    os.kill(1, signal.SIGRTMIN + 14)  # systemd(1): power off at once, which ends this namespace
