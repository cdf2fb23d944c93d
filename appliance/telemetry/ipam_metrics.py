"""Every metric of the allocator, as data: see metrics.py."""

from appliance.telemetry.metrics import Kind, Metric

_ALLOCATOR = "balanced_ipam_"
VIP_USED = Metric(
    "balanced_vip_allocation_controller_vip_used", Kind.GAUGE,
    "Addresses of the range that Services hold; a shared one counts once.", ("ip_pool", "vip_cidr"),
    "the leading allocator's ledger",
)  # fmt: skip
VIP_FREE = Metric(
    "balanced_vip_allocation_controller_vip_free", Kind.GAUGE,
    "Addresses of the range that can be given: neither held, reserved nor left out as edges.", ("ip_pool", "vip_cidr"),
    "as above",
)  # fmt: skip
ALLOCATOR_LEADING = Metric(
    f"{_ALLOCATOR}leading", Kind.GAUGE, "1 while this allocator leads; only then the figures below are there.", (),
    "the Lease",
)  # fmt: skip
ALLOCATIONS = Metric(
    f"{_ALLOCATOR}allocations_total", Kind.COUNTER, "Statuses written: action given, changed or released.",
    ("action",), "answers of the API server",
)  # fmt: skip
ALLOCATION_FAILURES = Metric(
    f"{_ALLOCATOR}refusals_total", Kind.COUNTER,
    "Times that a Service began to lack what it asks for: reason exhausted, request_unmet, no_pool, sharing_conflict, "
    "foreign_class or foreign_address.",
    ("reason",), "the leading allocator",
)  # fmt: skip
ALLOCATION_REFUSED_NOW = Metric(
    f"{_ALLOCATOR}refused", Kind.GAUGE, "Services that lack what they ask for now, by reason as above.", ("reason",),
    "the leading allocator",
)  # fmt: skip
ALLOCATION_PENDING = Metric(
    f"{_ALLOCATOR}pending", Kind.GAUGE, "Statuses that are to be written still.", (), "the leading allocator"
)
ALLOCATION_WRITE_FAILURES = Metric(
    f"{_ALLOCATOR}write_failures_total", Kind.COUNTER,
    "Statuses that the API server did not take; they are written again. Conflicts do not count.", (), "as above",
)  # fmt: skip

ALLOCATOR = (
    ALLOCATOR_LEADING, ALLOCATIONS, ALLOCATION_FAILURES, ALLOCATION_REFUSED_NOW, ALLOCATION_PENDING,
    ALLOCATION_WRITE_FAILURES, VIP_USED, VIP_FREE,
)  # fmt: skip
