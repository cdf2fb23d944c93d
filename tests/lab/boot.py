"""Runs a command in a Linux kernel that has IPVS: ``python tests/lab/boot.py [--timeout-s N] -- CMD...``.

The kernel is User-Mode Linux (an ordinary process, booted in about two seconds over this machine's own files), or with
``LAB_KERNEL=host`` this machine's own kernel, in namespaces of its own. Either way the command sees an empty network
and an empty /run, and its output and exit code come out as if it had run here.
"""

import argparse
import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

LAB = Path(__file__).resolve().parent
TREE = LAB.parent.parent
TIMED_OUT = 124
NO_ANSWER = 125
MEMORY_MB = 2048
# The command gets these, everything named LAB_*, and nothing else of the caller's environment.
INHERITED = (
    "BALANCED_CACHE",
    "COLUMNS",
    "HOME",
    "LANG",
    "NO_COLOR",
    "PYTEST_ADDOPTS",
    "SOAK_EVERY_S",
    "SOAK_S",
    "SOAK_SEED",
    "STORM_S",
    "TERM",
    "XDG_CACHE_HOME",
)
# Said by every User-Mode Linux at every boot.
HARMLESS = ("setup_one_line failed", "Failed to initialize ubd", "SELinux", "mmapper_init")


class Kernel:
    """One kernel that runs one command. A context manager: when the block is left, nothing of it is left behind.

    ``output`` is a file descriptor with everything the command prints. ``exit_code()`` is valid after its end of file.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        memory_mb: int = MEMORY_MB,
        place: int = 0,
    ) -> None:
        self._command = command
        self._env = {**_inherited(), **(env or {})}
        self._memory_mb = memory_mb
        self._place = place
        self._kind = os.environ.get("LAB_KERNEL", "uml")

    def __enter__(self) -> Self:
        self._work = Path(tempfile.mkdtemp(prefix="balanced-lab-"))
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in self._env.items())
        text = f"{exports}cd {shlex.quote(str(TREE))} && exec {shlex.join(self._command)}\n"
        (self._work / "command").write_text(text)
        shutil.copy(LAB / "init.sh", self._work)  # a tree's path may hold spaces, a kernel's parameter may not
        argv = self._host_argv() if self._kind == "host" else self._uml_argv()
        self.output, output = os.pipe()
        with (self._work / "console").open("wb") as console:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output if self._kind == "host" else console,
                env={**os.environ, "LAB_KERNEL": self._kind, "LAB_WORK": str(self._work), "TMPDIR": _memory_folder()},
                start_new_session=True,
            )
        os.close(output)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _end_session(self._process.pid)
        self._process.wait()
        os.close(self.output)
        shutil.rmtree(self._work)

    def exit_code(self) -> int:
        """The command's exit code, or NO_ANSWER when the kernel ended without one."""
        try:
            return int((self._work / "exit-code").read_text())
        except FileNotFoundError:
            return NO_ANSWER

    def console_tail(self, lines: int = 30) -> str:
        """The end of what the kernel itself said, without what it says at every boot."""
        said = (self._work / "console").read_text(errors="replace").splitlines()
        return "\n".join([line for line in said if not line.startswith(HARMLESS)][-lines:])

    def _host_argv(self) -> list[str]:
        namespaces = ["--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "--propagation=private"]
        return ["unshare", *namespaces, str(self._work / "init.sh")]

    def _uml_argv(self) -> list[str]:
        # The kernel's console goes to stderr, the command's terminal (tty1) to stdout: neither disturbs the other.
        consoles = ["con0=null,fd:2", "con1=null,fd:1", "con=none"]
        root = ["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "quiet", f"init={self._work / 'init.sh'}"]
        # What the kernel does not know itself it hands to init: parameters with "=" become its environment.
        init = ["LAB_KERNEL=uml", f"LAB_WORK={self._work}"]
        private = [f"uml_dir={self._work}/", "umid=uml", f"mem={self._memory_mb}M"]
        # It has one processor and traces its own processes: on one core it switches between them several times as fast.
        cores = sorted(os.sched_getaffinity(0))
        pinned = ["taskset", "-c", str(cores[self._place % len(cores)])]
        return [*pinned, "linux.uml", *private, *root, *consoles, *init]


def run(kernels: Sequence[Kernel], timeout_s: float, on_output: Callable[[int, bytes], None]) -> list[int]:
    """Run kernels side by side until each has ended or the time is over; return their exit codes in order.

    ``on_output`` gets the kernel's place in ``kernels`` and what it printed. A kernel that had to be ended counts as
    TIMED_OUT.
    """
    deadline = time.monotonic() + timeout_s
    late: set[int] = set()
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for place, kernel in enumerate(kernels):
            stack.enter_context(kernel)
            selector.register(kernel.output, selectors.EVENT_READ, place)
        while selector.get_map() and not late:
            events = selector.select(max(0.0, deadline - time.monotonic()))
            for key, _ in events:
                data = os.read(key.fd, 65536)
                if data:
                    on_output(key.data, data)
                else:
                    selector.unregister(key.fd)
            if not events:
                late = {key.data for key in selector.get_map().values()}
        codes = [TIMED_OUT if place in late else kernel.exit_code() for place, kernel in enumerate(kernels)]
        for code, kernel in zip(codes, kernels, strict=True):
            if code in (TIMED_OUT, NO_ANSWER):
                reason = f"was ended after {timeout_s:g} s" if code == TIMED_OUT else "ended without an exit code"
                print(f"lab: the kernel {reason}; the end of its console:\n{kernel.console_tail()}", file=sys.stderr)
        return codes


def _inherited() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith("LAB_")}
    if not sys.stdout.isatty():
        kept["NO_COLOR"] = "1"  # inside, the output is always a terminal
    return {"LANG": "C.UTF-8", "TERM": "dumb", **kept}


def _memory_folder() -> str:
    """Where User-Mode Linux may map its memory from: a file system that is not noexec, best one in memory.

    A container's /dev/shm is often both noexec and small.
    """
    shared = Path("/dev/shm")  # noqa: S108 - the place for shared memory, not for a file with a guessable name
    if shared.is_dir():
        state = os.statvfs(shared)
        if not state.f_flag & os.ST_NOEXEC and state.f_bavail * state.f_frsize >= MEMORY_MB << 20:
            return str(shared)
    return tempfile.gettempdir()


def _end_session(leader: int) -> None:
    """Kill every process of the session that ``leader`` leads: a User-Mode Linux has a process for each of its own."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # proc(5): the fields after the command name are state, ppid, pgrp, session.
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                os.kill(int(entry.parent.name), signal.SIGKILL)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Take SIGTERM as Ctrl-C, so that the kernels are ended before we are."""
    raise KeyboardInterrupt


def main() -> int:
    """Run the command line's command; return its exit code, 124 when it took too long, 125 when the kernel died."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timeout-s", type=float, default=600.0, help="end the kernel after this time (600)")
    parser.add_argument("--memory-mb", type=int, default=MEMORY_MB, help=f"its memory in MiB ({MEMORY_MB})")
    parser.add_argument("command", nargs="+", metavar="CMD", help="what to run, with the tree as its folder")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupt)

    def show(_kernel: int, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    try:
        return run([Kernel(options.command, memory_mb=options.memory_mb)], options.timeout_s, show)[0]
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
