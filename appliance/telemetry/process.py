"""What the kernel knows about this process."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from appliance.telemetry.exposition import Family
from appliance.telemetry.metrics import CPU_SECONDS, OPEN_FILES, RESIDENT

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def families() -> Iterator[Family]:
    """Processor time, memory and descriptors; what cannot be read (no descriptor is left, say) is left out."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield Family(CPU_SECONDS, [("", used.ru_utime + used.ru_stime)])
    try:
        # proc(5): the second number of statm is the resident set in pages.
        yield Family(RESIDENT, [("", int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES)])
        yield Family(OPEN_FILES, [("", sum(1 for _ in Path("/proc/self/fd").iterdir()))])
    except OSError:
        return
