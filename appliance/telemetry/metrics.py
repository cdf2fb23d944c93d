"""Every metric of the director, as data: name, kind, labels, help text, and where the figure comes from.

docs/reference/metrics.md is made from these rows. Names that begin with ``balanced_ipvs_controller`` or
``balanced_controllers`` are those of BalanceD, with its labels and units, so that its dashboards and alarms go on.
"""

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """The types of the Prometheus text format that we use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. ``origin`` says in words where the figure comes from; ``buckets`` are a histogram's upper bounds."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    origin: str = "the director's memory"
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """A figure that IPVS counts: the end of its name, and the field of ``appliance.model.counters`` that holds it."""

    suffix: str
    field: str
    help: str


# The kernel hands out sums that it makes every 2 s (ip_vs_est.c), not what its processors have counted since.
_SINCE = "since it was created, up to 2 s late; back to 0 when IPVS is loaded anew or it is created anew"
_RATE = "a second, as the kernel estimates it every 2 s"
_NO_ANSWERS = "0 with direct server return: answers do not pass the director"

TOTALS = (
    Counted("total_connections", "connections", f"Connections scheduled {_SINCE}."),
    Counted("packets_in", "packets_in", f"Packets towards the backends {_SINCE}."),
    Counted("packets_out", "packets_out", f"Packets back {_SINCE}; {_NO_ANSWERS}."),
    Counted("bytes_in", "bytes_in", f"Bytes towards the backends {_SINCE}."),
    Counted("bytes_out", "bytes_out", f"Bytes back {_SINCE}; {_NO_ANSWERS}."),
    Counted("pps_in", "pps_in", f"Packets towards the backends {_RATE}."),
    Counted("pps_out", "pps_out", f"Packets back {_RATE}; {_NO_ANSWERS}."),
    Counted("cps", "cps", f"Connections {_RATE}."),
    Counted("bps_in", "bps_in", f"Bytes (not bits) towards the backends {_RATE}."),
    Counted("bps_out", "bps_out", f"Bytes (not bits) back {_RATE}; {_NO_ANSWERS}."),
)
CONNECTIONS = (
    Counted("active_connections", "active", "Connections that the destination holds, in an active state."),
    Counted("inactive_connections", "inactive", "Connections that the destination holds, in other states."),
    Counted("persist_connections", "persistent", "Persistence templates that name the destination."),
)

SERVICE_LABELS = ("hostname", "namespace", "service_name", "service_vip", "protocol", "port")
DESTINATION_LABELS = (*SERVICE_LABELS, "endpoint_name", "endpoint_type", "endpoint_ip", "endpoint_port")

_IPVS = "balanced_ipvs_controller_"
_KERNEL = "IPVS (IPVS_CMD_GET_{}, STATS64), read for the scrape"


# Gauges as in BalanceD: a counter's name ends in _total, and collectors that see to that would change these names.
def _counted(what: str, labels: tuple[str, ...], rows: tuple[Counted, ...], command: str) -> tuple[Metric, ...]:
    origin = _KERNEL.format(command)
    return tuple(Metric(f"{_IPVS}{what}_{each.suffix}", Kind.GAUGE, each.help, labels, origin) for each in rows)


SERVICE_METRICS = _counted("service", SERVICE_LABELS, TOTALS, "SERVICE")
DESTINATION_METRICS = _counted("dest", DESTINATION_LABELS, TOTALS + CONNECTIONS, "DEST")

IPVS_SERVICES = Metric(
    f"{_IPVS}ipvs_services", Kind.GAUGE, "Virtual services in the kernel, also those of others.", ("hostname",),
    "IPVS, read for the scrape",
)  # fmt: skip
EXPORT_TIME = Metric(
    f"{_IPVS}ipvs_metrics_export_time", Kind.GAUGE,
    "Nanoseconds that reading the counters of IPVS took for this scrape.", ("hostname",), "the scrape itself",
)  # fmt: skip
PROGRAMMED = Metric(
    f"{_IPVS}ipvs_programmed_total", Kind.COUNTER,
    "Changes that the kernel carried out: kind service or endpoint, action create, update or delete.",
    ("hostname", "kind", "action"), "acknowledged netlink requests",
)  # fmt: skip
DESIRED_CHANGE = Metric(
    f"{_IPVS}ipvs_desired_change_total", Kind.COUNTER,
    "Changes that the sources asked for: kind service or endpoint, action create, update or delete.",
    ("hostname", "kind", "action"), "each state of a source against the one before it",
)  # fmt: skip

_PASS_NS = tuple(100_000.0 * 2**power for power in range(20))
SYNC_TIME = Metric(
    "balanced_controllers_sync_time", Kind.HISTOGRAM,
    "Nanoseconds that a pass took; balanced_director_pass_seconds has them in seconds.", (),
    "the loop, passes with something to read", _PASS_NS,
)  # fmt: skip
SYNC_TIME_LAST = Metric(
    "balanced_controllers_sync_time_last", Kind.GAUGE, "Nanoseconds that the latest pass took.", (), "the loop"
)

_OURS = "balanced_director_"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

INFO = Metric(f"{_OURS}info", Kind.GAUGE, "1; the labels say what runs here.", ("hostname", "version", "bird"))
DEGRADED = Metric(f"{_OURS}degraded", Kind.GAUGE, "1 where balanced status says degraded, otherwise 0.")
READY = Metric(f"{_OURS}ready", Kind.GAUGE, "1 once every source has spoken and a pass is done, as /readyz says.")
HEALTHY = Metric(f"{_OURS}healthy", Kind.GAUGE, "1 while passes are completed in time, as /healthz says.")
CONDITIONS = Metric(
    f"{_OURS}conditions", Kind.GAUGE,
    "Conditions that stand now, by the first word of their name: kernel, bird, source, routes, desired, drain ...",
    ("condition",), "balanced status",
)  # fmt: skip
REFUSED = Metric(
    f"{_OURS}refused", Kind.GAUGE,
    "Parts of the desired state that are refused now: place files (the operator's own, these degrade the node) or "
    "cluster (somebody's Service, whose owner is told by an Event).",
    ("place",), "balanced status",
)  # fmt: skip

PASSES = Metric(
    f"{_OURS}passes_total", Kind.COUNTER,
    "Passes: scope full (everything is read), part (what may have changed) or glance (a few services); result done, "
    "waiting (a source has not spoken yet) or unreadable (the kernel could not be read, nothing was changed).",
    ("scope", "result"), "the loop",
)  # fmt: skip
PASS_SECONDS = Metric(
    f"{_OURS}pass_seconds", Kind.HISTOGRAM, "Duration of passes that were done.", ("scope",), "the loop", _SECONDS
)
PASS_AGE = Metric(f"{_OURS}pass_age_seconds", Kind.GAUGE, "Time since the latest pass was done.", (), "the loop")
CONVERGENCE = Metric(
    f"{_OURS}convergence_seconds", Kind.HISTOGRAM,
    "Time since the director heard of a change: stage kernel until its service was read back as asked for, stage "
    "exported until BIRD was read to do with its VIP what follows (announce it, or not).",
    ("stage",), "the loop", _SECONDS,
)  # fmt: skip
REPAIRS = Metric(
    f"{_OURS}repairs_total", Kind.COUNTER,
    "Drift that was repaired: what somebody else changed or removed; kind service, destination, address, link, guard.",
    ("kind",), "the difference between two readings of the kernel",
)  # fmt: skip
BATCHES = Metric(
    f"{_OURS}netlink_batches_total", Kind.COUNTER, "Batches of changes handed to IPVS.", (), "the loop"
)  # fmt: skip
STEPS = Metric(
    f"{_OURS}netlink_steps_total", Kind.COUNTER,
    "Single changes handed to IPVS: outcome done, already (it was so), retry or fatal.", ("outcome",),
    "the kernel's acknowledgements",
)  # fmt: skip
CONFIGURES = Metric(
    f"{_OURS}bird_configures_total", Kind.COUNTER,
    "Changes of BIRD's configuration: what vips or sessions; result done, refused, unreachable or failed.",
    ("what", "result"), "BIRD's answers, and its routes read back",
)  # fmt: skip
SOURCE_AGE = Metric(
    f"{_OURS}source_age_seconds", Kind.GAUGE,
    "How old the word of a source may be: 0 while it can be heard, otherwise the time since it failed, or since the "
    "start where it never spoke.",
    ("source",), "the loop",
)  # fmt: skip
WITHHELD = Metric(
    f"{_OURS}source_withheld_vips", Kind.GAUGE,
    "VIPs that stay as they were though a list of the source left out their services or backends, until it is "
    "believed.",
    ("source",), "the brake",
)  # fmt: skip
SOURCE_STATES = Metric(
    f"{_OURS}source_states_total", Kind.COUNTER, "Complete states that a source told.", ("source",), "the loop"
)
SOURCE_ERRORS = Metric(
    f"{_OURS}source_errors_total", Kind.COUNTER, "Times that a source could not be heard.", ("source",), "the loop"
)

EVENTS_WRITTEN = Metric(
    f"{_OURS}events_written_total", Kind.COUNTER, "Events about Services that the API server took.", (),
    "its answers; absent where no Events are written",
)  # fmt: skip
EVENTS_DROPPED = Metric(
    f"{_OURS}events_dropped_total", Kind.COUNTER,
    "Happenings that no Event will ever tell: too many waited, or the API server refused them.", (), "as above",
)  # fmt: skip
WRITE_FAILURES = Metric(
    f"{_OURS}state_write_failures_total", Kind.COUNTER,
    "Times that something could not be written to the state or runtime directory: the last state of the sources, the "
    "clock of draining backends. Serving goes on.",
    (), "the attempts",
)  # fmt: skip

VIP_ANNOUNCED = Metric(
    f"{_OURS}vip_announced",
    Kind.GAUGE,
    "1 where the gate lets the VIP out, otherwise 0.",
    ("vip",),
    "the gate",
)
VIP_GATE = Metric(
    f"{_OURS}vip_gate", Kind.GAUGE,
    "1; reason says why the gate is as it is: announced, rising (being proven), held_down (damping), repairs (too "
    "many), kernel (a fault there), backends (too few ready), mtu (too small on the way to them), "
    "drained (by an operator), unknown (not judged yet).",
    ("vip", "reason"), "the gate",
)  # fmt: skip
VIP_DEPREFERRED = Metric(
    f"{_OURS}vip_depreferred", Kind.GAUGE, "1 where BIRD was read to ask routers to use other nodes, otherwise 0.",
    ("vip",), "BIRD, read by the latest pass that asked it",
)  # fmt: skip
DRAIN_START = Metric(
    f"{_OURS}drain_start_timestamp_seconds", Kind.GAUGE,
    "When each order to drain that stands was given, in seconds since 1970, by whom and why; vip is empty for the "
    "node.",
    ("vip", "who", "why"), "balanced drain",
)  # fmt: skip
VIP_PEERS = Metric(
    f"{_OURS}vip_exported_peers", Kind.GAUGE, "Established BGP sessions that BIRD was read to export the VIP to.",
    ("vip",), "BIRD, read by the latest pass that asked it",
)  # fmt: skip
VIP_BACKENDS = Metric(
    f"{_OURS}vip_backends", Kind.GAUGE, "Destinations over all services of the VIP.", ("vip",), "the latest proof"
)
VIP_READY = Metric(
    f"{_OURS}vip_backends_ready", Kind.GAUGE, "Destinations of the VIP that take new connections.", ("vip",),
    "the latest proof",
)  # fmt: skip
VIP_FLAPS = Metric(
    f"{_OURS}vip_flaps", Kind.GAUGE, "Withdrawals of the VIP that damping still counts.", ("vip",), "the gate"
)
VIP_HOLD = Metric(
    f"{_OURS}vip_hold_seconds", Kind.GAUGE,
    "How much longer damping keeps the VIP down, however well it is proven; 0 where it does not.", ("vip",), "the gate",
)  # fmt: skip
PEER_UP = Metric(
    f"{_OURS}bgp_session_up", Kind.GAUGE, "1 where the BGP session is established, otherwise 0.", ("peer",),
    "BIRD, read by the latest pass that asked it; absent while BIRD does not answer",
)  # fmt: skip
PEER_EXPORTED = Metric(
    f"{_OURS}bgp_exported_vips", Kind.GAUGE, "VIPs that BIRD exports on the session.", ("peer",), "as above"
)
COUNTERS_READ = Metric(
    f"{_OURS}ipvs_counters_read", Kind.GAUGE,
    "1 where the counters of IPVS could be read for this scrape; 0: every balanced_ipvs_controller metric of services "
    "and destinations is absent.",
    (), "the scrape itself",
)  # fmt: skip

_GUARD = "the guard's nftables table, read for the scrape; from 0 again where the table was made anew; absent without"
GUARD_REFUSED = Metric(
    f"{_OURS}guard_refused_packets_total", Kind.COUNTER,
    "Packets to the VIP that no service let through: another port, or a client out of its ranges.", ("vip",), _GUARD,
)  # fmt: skip
GUARD_LIMITED = Metric(
    f"{_OURS}guard_limited_flows_total", Kind.COUNTER,
    "New flows to the VIP that were dropped above a limit; only of VIPs that have one.", ("vip",), _GUARD,
)  # fmt: skip
GUARD_UNSERVED = Metric(
    f"{_OURS}guard_unserved_packets_total", Kind.COUNTER,
    "Packets dropped that went to a pool address without any service here.", (), _GUARD,
)  # fmt: skip
GUARD_SPOOFED = Metric(
    f"{_OURS}guard_spoofed_packets_total", Kind.COUNTER,
    "Packets dropped that came from outside with a VIP of this node, or were to be forwarded with any pool address, "
    "as their source.",
    (), _GUARD,
)  # fmt: skip

PROBES = Metric(
    f"{_OURS}probes_total", Kind.COUNTER,
    "Probes of backends: answer accepted, refused (nothing listens), silent, or unsent (this node's own trouble).",
    ("answer",), "the active checks",
)  # fmt: skip
PROBED = Metric(f"{_OURS}probe_targets", Kind.GAUGE, "Backends that are probed, counted once for each service.")
PROBES_FAILING = Metric(
    f"{_OURS}probe_targets_failing", Kind.GAUGE,
    "Of these the ones that stand at weight 0 for it; backends that fail while the verdicts are held do not count.",
)  # fmt: skip
PROBE_INTERVAL = Metric(
    f"{_OURS}probe_interval_seconds", Kind.GAUGE,
    "Time between two probes of one target: checks.interval_s, or longer where checks.max_probes_per_s demands it.",
)  # fmt: skip

CPU_SECONDS = Metric("process_cpu_seconds_total", Kind.COUNTER, "Processor time of the director.", (), "getrusage(2)")
RESIDENT = Metric("process_resident_memory_bytes", Kind.GAUGE, "Resident memory.", (), "proc(5), statm")
OPEN_FILES = Metric("process_open_fds", Kind.GAUGE, "Open file descriptors.", (), "proc(5), fd")

OWN = (
    INFO, DEGRADED, READY, HEALTHY, CONDITIONS, REFUSED, PASSES, PASS_SECONDS, PASS_AGE, CONVERGENCE, REPAIRS,
    BATCHES, STEPS, CONFIGURES, SOURCE_AGE, WITHHELD, SOURCE_STATES, SOURCE_ERRORS, EVENTS_WRITTEN, EVENTS_DROPPED,
    WRITE_FAILURES, VIP_ANNOUNCED, VIP_GATE, VIP_DEPREFERRED, DRAIN_START, VIP_PEERS, VIP_BACKENDS, VIP_READY,
    VIP_FLAPS, VIP_HOLD, PEER_UP, PEER_EXPORTED, COUNTERS_READ, GUARD_REFUSED, GUARD_LIMITED, GUARD_UNSERVED,
    GUARD_SPOOFED, PROBES, PROBED, PROBES_FAILING, PROBE_INTERVAL, CPU_SECONDS, RESIDENT, OPEN_FILES,
)  # fmt: skip
INHERITED = (
    IPVS_SERVICES, EXPORT_TIME, PROGRAMMED, DESIRED_CHANGE, SYNC_TIME, SYNC_TIME_LAST,
    *SERVICE_METRICS, *DESTINATION_METRICS,
)  # fmt: skip
