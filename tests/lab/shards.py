"""Runs the lab tests in several kernels at once: ``python -m tests.lab.shards [--kernels N] PYTEST-ARGUMENTS...``.

Each kernel has one CPU and takes some of the files. Output lines carry the number of their kernel; the last line counts
the tests of all of them.
"""

import argparse
import os
import signal
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from tests.lab.boot import TREE, Kernel, interrupt, run

RESULTS = TREE / ".cache/lab"
NO_TESTS = 5  # pytest's exit code when its shard is empty


class Lines:
    """Passes on whole lines, each with the number of the kernel that printed it."""

    def __init__(self, kernels: int) -> None:
        self._unfinished = [b""] * kernels

    def __call__(self, kernel: int, data: bytes) -> None:
        *lines, self._unfinished[kernel] = (self._unfinished[kernel] + data).split(b"\n")
        mark = b"" if len(self._unfinished) == 1 else b"%d| " % (kernel + 1)
        for line in lines:
            sys.stdout.buffer.write(mark + line.rstrip(b"\r") + b"\n")
        sys.stdout.buffer.flush()


def counts(results: list[Path]) -> Counter[str]:
    """How many tests ended how, over all JUnit files that were written."""
    total: Counter[str] = Counter()
    for path in results:
        if path.exists():
            for suite in ET.parse(path).getroot().iter("testsuite"):  # noqa: S314 - pytest wrote it a moment ago
                kinds = {kind: int(suite.get(kind, "0")) for kind in ("tests", "failures", "errors", "skipped")}
                bad = kinds["failures"] + kinds["errors"] + kinds["skipped"]
                total.update(passed=kinds["tests"] - bad, failed=kinds["failures"], errors=kinds["errors"])
                total.update(skipped=kinds["skipped"])
    return total


def main() -> int:
    """Run the shards; 0 when every test of every shard passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", default="", help="how many (one for each core, at most two)")
    parser.add_argument("--timeout-s", type=float, default=2400.0, help="end them after this time (2400)")
    options, arguments = parser.parse_known_args()
    shards = int(options.kernels or min(2, os.cpu_count() or 1))
    signal.signal(signal.SIGTERM, interrupt)

    RESULTS.mkdir(parents=True, exist_ok=True)
    results = [RESULTS / f"shard-{place}.xml" for place in range(1, shards + 1)]
    for path in results:
        path.unlink(missing_ok=True)
    pytest = [str(TREE / ".venv/bin/python"), "-m", "pytest", "-v", "--no-header", *(arguments or ["tests/lab"])]
    kernels = [
        Kernel([*pytest, f"--junitxml={path}"], env={"LAB_SHARD": f"{place}/{shards}"}, place=place)
        for place, path in enumerate(results, start=1)
    ]
    begin = time.monotonic()
    try:
        codes = run(kernels, options.timeout_s, Lines(shards))
    except KeyboardInterrupt:
        return 130
    total = counts(results)
    well = total["passed"] > 0 and all(code in (0, NO_TESTS) for code in codes)
    told = ", ".join(f"{number} {kind}" for kind, number in total.items() if number) or "no test ran"
    print(f"lab: {told} in {time.monotonic() - begin:.0f} s, {shards} kernels, exit codes {codes}", flush=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
