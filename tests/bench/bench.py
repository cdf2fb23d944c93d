"""The benchmark: ``make bench``, in the lab kernel. Prints what it measures; fails only if something does not work.

With names of parts as arguments only those are run.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import tests.bench.allocation
import tests.bench.detection
import tests.bench.footprint
import tests.bench.kube_decode
import tests.bench.kube_follow
import tests.bench.passes
import tests.bench.programming
import tests.bench.reactions
import tests.bench.reload
import tests.bench.scrape
import tests.bench.tunnel
import tests.bench.withdrawal
from tests.bench.figures import Report
from tests.bench.reactions import SIZES

RESULT = Path(__file__).resolve().parents[2] / ".cache/bench.json"
PARTS: dict[str, Callable[[Report], None]] = {
    "programming": tests.bench.programming.measure,
    "passes": tests.bench.passes.measure,
    "withdrawal": tests.bench.withdrawal.measure,
    **{f"reactions-{size}": partial(tests.bench.reactions.measure, number=size) for size in SIZES},
    "detection": tests.bench.detection.measure,
    "reload": tests.bench.reload.measure,
    "footprint": tests.bench.footprint.measure,
    "scrape": tests.bench.scrape.measure,
    "allocation": tests.bench.allocation.measure,
    "decode": tests.bench.kube_decode.measure,
    "follow": tests.bench.kube_follow.measure,
    "tunnel": tests.bench.tunnel.measure,
}


def main() -> None:
    """Run the parts in order and print the table; what was measured before a part broke is not lost."""
    report = Report()
    try:
        for name in sys.argv[1:] or PARTS:
            started_s = time.monotonic()
            print(f"== {name}", flush=True)
            PARTS[name](report)
            print(f"   {name} took {time.monotonic() - started_s:.0f} s", flush=True)
    finally:
        report.save(RESULT)
        print(f"\n{report.table()}\n\nraw figures: {RESULT}")


if __name__ == "__main__":
    main()
