"""Threads that are there from the start, on a machine that gives no more."""

import asyncio
import subprocess
import sys
import threading

import pytest

from appliance.director.workers import WORKERS, WorkersLoop, workers

WITHOUT_FORKS = """
import asyncio, concurrent.futures.thread, os, resource, sys
from appliance.director.workers import WorkersLoop
factories = {"made before": WorkersLoop, "made when needed": asyncio.SelectorEventLoop}
with asyncio.Runner(loop_factory=factories[sys.argv[1]]) as runner:
    runner.get_loop()
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    os.setresuid(64990, 64990, 64990)
    async def main():
        await asyncio.gather(*(asyncio.to_thread(abs, -number) for number in range(20)))
    runner.run(main())
"""


def test_every_thread_runs_before_the_first_task() -> None:
    before = threading.active_count()
    with workers() as executor:
        assert threading.active_count() == before + WORKERS
        for _ in range(3 * WORKERS):
            executor.submit(threading.get_ident).result()
        assert threading.active_count() == before + WORKERS


@pytest.mark.parametrize(("when", "works"), [("made before", True), ("made when needed", False)])
def test_fault_39_a_process_that_may_make_no_more_threads_goes_on_and_ends(when: str, *, works: bool) -> None:
    """The limit counts for users without capabilities; the second case shows that it is felt."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FORKS, when],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode == 0) == works, done.stderr
    assert works or "can't start new thread" in done.stderr


def test_a_loop_closes_them() -> None:
    async def main() -> None:
        assert await asyncio.to_thread(abs, -1) == 1

    before = threading.active_count()
    with asyncio.Runner(loop_factory=WorkersLoop) as runner:
        runner.run(main())
    assert threading.active_count() == before
