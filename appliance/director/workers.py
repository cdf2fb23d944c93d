"""The threads in which a pass waits for the kernel and for files, all there from the start.

A thread is a clone(2) like a process: where the limit of the user or of the control group is reached (RLIMIT_NPROC,
TasksMax=) there are no more, and a pass that needed one would end the director (fault 39).
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

WORKERS = 6
"""A reading, a scrape, a file, a name that is looked up and two more, at one time; what comes beyond them waits."""


def workers() -> ThreadPoolExecutor:
    """An executor whose threads run already.

    Raises:
        RuntimeError: there is no room for them.
    """
    # The executor starts a thread where none is idle (ThreadPoolExecutor._adjust_thread_count): so as many tasks as
    # threads, of which none ends before all have begun.
    begun = threading.Barrier(WORKERS)
    executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="worker")
    for waiting in [executor.submit(begun.wait) for _ in range(WORKERS)]:
        waiting.result()
    return executor


class WorkersLoop(asyncio.SelectorEventLoop):
    """An event loop that waits in ``workers``; it ends as it works, without another thread.

    That of asyncio makes one to wait for the end of the others (``BaseEventLoop.shutdown_default_executor``).

    Raises:
        RuntimeError: there is no room for the threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self._workers = workers()
        self.set_default_executor(self._workers)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's own
        """Let the threads end what they do. Nothing else runs on a loop that ends, so it may wait itself."""
        del timeout
        self._workers.shutdown(cancel_futures=True)
