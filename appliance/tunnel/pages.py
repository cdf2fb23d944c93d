"""What can be seen of an agent: metrics, health, and its state in the journal. Readings only."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec

from appliance.model.pod import PodKey
from appliance.telemetry import exposition, process, tunnel_metrics
from appliance.telemetry.exposition import Family, labels
from appliance.telemetry.http import Answer, Route
from appliance.telemetry.metrics import Metric
from appliance.tunnel.agent import WITHIN_S, Agent
from appliance.tunnel.charge import Charge

_COUNTED = (tunnel_metrics.TUNNEL_CHANGES, tunnel_metrics.TUNNEL_FAILURES, tunnel_metrics.TUNNEL_SECONDS)
MAX_PODS_TOLD = 500


def is_healthy(agent: Agent) -> bool:
    """Whether the loop comes round in time, and no visit hangs far beyond its own time-out."""
    now_s, longest_s = agent.clock(), agent.settings.unhealthy_after_s
    stuck = any(now_s - since_s > longest_s + WITHIN_S for since_s in agent.busy_s.values())
    return now_s - agent.passed_s <= longest_s and not stuck


def metrics_routes(agent: Agent, version: str) -> dict[str, Route]:
    """``/metrics``."""

    async def page() -> Answer:
        return Answer(exposition.text(families(agent, version)), content_type=exposition.CONTENT_TYPE)

    return {"/metrics": page}


def health_routes(agent: Agent, now: Callable[[], datetime]) -> dict[str, Route]:
    """``/healthz``, ``/readyz`` and ``/checks``, as the director has them. ``now`` is the time of day."""

    async def healthz() -> Answer:
        if is_healthy(agent):
            return Answer(["OK\n"])
        return Answer(["Unhealthy\n"], HTTPStatus.INTERNAL_SERVER_ERROR)

    async def readyz() -> Answer:
        if agent.is_ready:
            return Answer(["OK\n"])
        return Answer(["no round over all pods is done yet\n"], HTTPStatus.SERVICE_UNAVAILABLE)

    async def page() -> Answer:
        text = msgspec.json.encode(checks(agent, now())).decode()
        return Answer([text, "\n"], content_type="application/json")

    return {"/healthz": healthz, "/readyz": readyz, "/checks": page}


def checks(agent: Agent, now: datetime) -> list[dict[str, Any]]:
    """Each thing that can be wrong, in the form of the director's."""
    heartbeat = now.astimezone(UTC) - timedelta(seconds=agent.clock() - agent.passed_s)
    found: list[dict[str, Any]] = [
        {
            "name": "round",
            "healthy": is_healthy(agent),
            "period_ns": round(agent.settings.unhealthy_after_s * 1e9),
            "last_heartbeat": heartbeat.isoformat(),
        },
        {"name": "ready", "healthy": agent.is_ready},
    ]
    found += [{"name": name, "healthy": False, "message": text} for name, text in sorted(agent.conditions.items())]
    return found


def state_of(charge: Charge) -> str:
    """Where a pod stands: ``none`` where no Service wants it."""
    if not charge.decision.want.vips:
        return "ignored" if charge.decision.refused else "none"
    if charge.is_ready:
        return "ready"
    return "failed" if charge.error is not None else "waiting"


def families(agent: Agent, version: str) -> Iterator[Family]:
    """Every metric of the agent."""
    charges = list(agent.charges.values())
    states = Counter(map(state_of, charges))
    standing = sum(len(each.stood.vips) for each in charges if each.stood is not None)
    conditions = Counter(name.split()[1] for name in agent.conditions)
    yield _one(tunnel_metrics.TUNNEL_INFO, 1, agent.settings.node, version)
    yield Family(tunnel_metrics.TUNNEL_PODS, _by(tunnel_metrics.TUNNEL_PODS, {name: states[name] for name in _STATES}))
    yield _one(tunnel_metrics.TUNNEL_VIPS, standing)
    yield from agent.meter.families(_COUNTED)
    yield _one(tunnel_metrics.TUNNEL_ROUND_AGE, agent.clock() - agent.passed_s)
    yield Family(tunnel_metrics.TUNNEL_CONDITIONS, _by(tunnel_metrics.TUNNEL_CONDITIONS, conditions))
    yield from process.families()


def dump(agent: Agent, version: str) -> Iterator[str]:
    """The state in lines of JSON: the agent, then pods that a Service wants, those first that are not ready."""
    told = sorted(agent.charges.items(), key=lambda each: state_of(each[1]) == "ready")
    wanted = [(key, charge) for key, charge in told if state_of(charge) != "none"]
    head = {"version": version, "node": agent.settings.node, "pods": len(wanted), "conditions": dict(agent.conditions)}
    yield f"state of the agent: {msgspec.json.encode(head).decode()}"
    for key, charge in wanted[:MAX_PODS_TOLD]:
        yield f"state of a pod: {msgspec.json.encode(_pod(key, charge)).decode()}"


def _pod(key: PodKey, charge: Charge) -> dict[str, Any]:
    return {
        "pod": str(key),
        "state": state_of(charge),
        "container": charge.pod.container,
        "wanted": sorted(map(str, charge.decision.want.addresses)),
        "stands": sorted(map(str, charge.stood.addresses)) if charge.stood is not None else None,
        "owners": sorted(charge.decision.owners),
        "refused": list(charge.decision.refused),
        "error": "" if charge.error is None else str(charge.error),
    }


def _one(metric: Metric, value: float, *values: str) -> Family:
    return Family(metric, [(labels(metric.labels, values), value)])


def _by(metric: Metric, found: Mapping[str, int]) -> list[tuple[str, float]]:
    return [(labels(metric.labels, (name,)), value) for name, value in found.items()]


_STATES = ("ready", "waiting", "failed", "ignored")
