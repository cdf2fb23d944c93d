"""Every metric of the tunnel agent, as data: see metrics.py."""

from appliance.telemetry.metrics import Kind, Metric

_TUNNEL = "balanced_tunnel_"
_AGENT = "the agent's memory"

TUNNEL_INFO = Metric(f"{_TUNNEL}info", Kind.GAUGE, "1; the labels say what runs here.", ("hostname", "version"), _AGENT)
TUNNEL_PODS = Metric(
    f"{_TUNNEL}pods", Kind.GAUGE,
    "Pods of this node that a Service with a VIP wants: ready, waiting (no container runs, or not done yet), failed or "
    "ignored.", ("state",), _AGENT,
)  # fmt: skip
TUNNEL_VIPS = Metric(f"{_TUNNEL}vips", Kind.GAUGE, "VIPs that stand, each once for each pod.", (), _AGENT)
TUNNEL_CHANGES = Metric(
    f"{_TUNNEL}changes_total", Kind.COUNTER, "Changes that were made in pods, by their kind.", ("change",), "the kernel"
)
TUNNEL_FAILURES = Metric(
    f"{_TUNNEL}failures_total", Kind.COUNTER,
    "Attempts that failed, by cause: container (it is gone), runtime (it is silent) or kernel (it refused).",
    ("cause",), "attempts",
)  # fmt: skip
TUNNEL_SECONDS = Metric(
    f"{_TUNNEL}sync_seconds", Kind.HISTOGRAM, "Time that one pod took until it was read to be right.", (),
    "attempts that succeeded", (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)  # fmt: skip
TUNNEL_ROUND_AGE = Metric(
    f"{_TUNNEL}round_age_seconds", Kind.GAUGE, "Time since the loop came round; /healthz goes by it.", (), "the loop"
)
TUNNEL_CONDITIONS = Metric(
    f"{_TUNNEL}conditions", Kind.GAUGE, "Conditions that stand: source, brake, writer, runtime, container, refused.",
    ("condition",), "the journal's conditions",
)  # fmt: skip

TUNNEL = (
    TUNNEL_INFO, TUNNEL_PODS, TUNNEL_VIPS, TUNNEL_CHANGES, TUNNEL_FAILURES, TUNNEL_SECONDS, TUNNEL_ROUND_AGE,
    TUNNEL_CONDITIONS,
)  # fmt: skip
