"""Directors that are forked from the test: to import the program takes seconds in the lab kernel, a fork does not."""

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path

from appliance.config.load import load
from appliance.director.lock import only_one
from appliance.director.wiring import run
from appliance.telemetry.journal import Journal
from tests.lab.hosts import Host, wait_until


@dataclass
class Offspring:
    """A director, as a process of its own in its host's network; what it says goes to ``log``."""

    process: ForkProcess
    log: Path

    @property
    def running(self) -> bool:
        return self.process.is_alive()

    @property
    def ended_by(self) -> int:
        """The signal that ended it; 0 where none did."""
        return -min(self.process.exitcode or 0, 0)

    def text(self) -> str:
        """Everything it has said so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it at once, and wait for its end."""
        self.process.kill()
        self.process.join()

    def await_end(self, within_s: float) -> None:
        """Wait for its end.

        Raises:
            AssertionError: it still runs.
        """
        wait_until(lambda: not self.running, within_s, f"the director to end, which said:\n{self.text()}")


def fork(host: Host, config: Path, log: Path, prepare: Callable[[], object] = lambda: None) -> Offspring:
    """Start a director with this configuration; ``prepare`` is run in the new process first."""
    log.write_text("")
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_live, args=(host, config, log, prepare), daemon=True)
    gc.freeze()  # a child that collects what is ours would have every page of it copied
    process.start()
    gc.unfreeze()
    return Offspring(process, log)


def _live(host: Host, config: Path, log: Path, prepare: Callable[[], object]) -> None:
    output = log.open("a", buffering=1)
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    sys.stdout = sys.stderr = output
    loaded = load(config)
    folder = loaded.director.runtime_dir
    for each in (folder, loaded.director.state_dir):
        each.mkdir(parents=True, exist_ok=True)
    with host.network(), only_one(folder / "director.lock"):
        prepare()
        run(config, loaded, Journal(output))
