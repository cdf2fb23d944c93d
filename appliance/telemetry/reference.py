"""The reference of metrics, made from the table: ``python -m appliance.telemetry.reference > FILE``."""

import sys
from collections.abc import Iterable, Iterator

from appliance.telemetry.ipam_metrics import ALLOCATOR
from appliance.telemetry.metrics import INHERITED, OWN, Metric
from appliance.telemetry.tunnel_metrics import TUNNEL

METRICS = (*OWN, *INHERITED, *TUNNEL, *ALLOCATOR)
"""Every metric there is."""

_HEAD = """\
# Metrics

Made from `appliance/telemetry/*metrics.py` by `python -m appliance.telemetry.reference`; do not edit. How to
scrape them, what to watch and what they cost: [metrics.md](../metrics.md).

A series is there as long as what it is about: labels vanish with their service, backend, VIP or peer.
"""
_INHERITED = """\
## Those of BalanceD

Names, labels and units are those of the original, so that its dashboards and alarms go on. Times here are nanoseconds.
`endpoint_name` is the name of what stands behind the backend where the source knows it (`targetRef`), or its address.
`endpoint_type` is `Pod` where that is a pod, otherwise `External`.
"""

_ALLOCATOR = """\
## The allocator's

Those of `balanced ipam`; it has `process_*` and `balanced_controllers_sync_time*` as well. The two that begin with
`balanced_vip_allocation_controller` are the original's.
"""


def reference() -> str:
    """The whole reference as Markdown, the same bytes for the same table."""
    own, inherited, agents, allocator = _rows(OWN), _rows(INHERITED), _rows(TUNNEL), _rows(ALLOCATOR)
    parts = (_HEAD, "## The director's own\n", *own, "", _INHERITED, *inherited, "", "## The tunnel agent's\n", *agents)
    return "\n".join([*parts, "", _ALLOCATOR, *allocator, ""])


def _rows(metrics: Iterable[Metric]) -> Iterator[str]:
    yield "| Metric | Kind | Labels | Meaning | From |"
    yield "|---|---|---|---|---|"
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help} | {metric.origin} |"


if __name__ == "__main__":
    sys.stdout.write(reference())
