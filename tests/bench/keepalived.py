"""keepalived, the peer: the daemon that most people have who keep an IPVS table in step with their real servers.

Its configuration is keepalived.conf(5)'s. It runs in the network of a director that does not run ours, so that both
have a table of their own in the same kernel.
"""

import contextlib
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.model.desired import DesiredService
from tests.bench.footprint import cpu_s
from tests.lab.hosts import Process
from tests.lab.topology import Director

# It takes a large table apart service by service.
STOPPED_WITHIN_S = 60.0
GLOBALS = "global_defs {\n  router_id bench\n}\n"


@dataclass(frozen=True, slots=True)
class Checker:
    """Its TCP checker; times in seconds. A server is taken out when a check and ``retries`` more have failed."""

    delay_loop_s: float
    timeout_s: float
    retries: int
    delay_before_retry_s: float

    @property
    def text(self) -> str:
        """The block inside a real server."""
        return (
            f" TCP_CHECK {{\n connect_timeout {self.timeout_s:g}\n retry {self.retries}\n"
            f" delay_before_retry {self.delay_before_retry_s:g}\n }}\n"
        )


@dataclass
class Keepalived:
    """A running keepalived."""

    process: Process
    config: Path
    checkers_pid: Path

    def reload(self) -> None:
        """Have it read its configuration again."""
        self.process.kill(signal.SIGHUP)

    def cpu_s(self) -> float:
        """User and system time so far, of the process that was started and of its checkers."""
        return cpu_s(self.process.popen.pid) + cpu_s(int(self.checkers_pid.read_text()))


@contextlib.contextmanager
def running(director: Director, config: str) -> Iterator[Keepalived]:
    """Run keepalived with its checkers alone (no VRRP); when the block is left, its table is gone with it."""
    path, pid = director.write("keepalived.conf", config), director.folder / "checkers.pid"
    files = ["--use-file", str(path), "--pid", str(director.folder / "keepalived.pid"), "--checkers_pid", str(pid)]
    process = director.start(["keepalived", "--dont-fork", "--log-console", "--check", *files], "keepalived")
    try:
        yield Keepalived(process, path, pid)
    finally:
        process.stop(STOPPED_WITHIN_S)


def config(services: Iterable[DesiredService], checker: Checker | None = None) -> str:
    """These services, with one checker for all of their servers, or none."""
    return GLOBALS + "".join(virtual_server(each, checker) for each in services)


def virtual_server(service: DesiredService, checker: Checker | None = None) -> str:
    """One service; a server that is found dead stays in the table, at weight 0, as with us."""
    loop = f" delay_loop {checker.delay_loop_s:g}\n" if checker else ""
    check = checker.text if checker else ""
    servers = "".join(
        f" real_server {each.address} {service.key.port} {{\n weight {each.weight}\n inhibit_on_failure\n{check} }}\n"
        for each in service.backends
    )
    return (
        f"virtual_server {service.key.vip} {service.key.port} {{\n{loop} lvs_sched mh\n mh-fallback\n mh-port\n"
        f" lvs_method TUN\n protocol TCP\n{servers}}}\n"
    )
