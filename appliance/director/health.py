"""Whether this director does its work: for probes and for a person who asks. Readings only."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from appliance.director.context import Context
from appliance.director.status import status

# A dump of thousands of VIPs would push out of the journal what led to it.
MAX_VIPS_TOLD = 200


def pass_age_s(context: Context) -> float:
    """Seconds since the latest pass was done."""
    return context.clock() - context.record.passed_s


def is_healthy(context: Context) -> bool:
    """Whether passes are done in time."""
    return pass_age_s(context) <= context.settings.unhealthy_after_s


def unready(context: Context) -> list[str]:
    """What stands between this director and its work, in words; empty once it was ready."""
    silent = [f"source {name} has not spoken yet" for name in context.ports.sources if not _has_spoken(context, name)]
    return silent or ([] if context.memory.passes else ["no pass is done yet"])


def source_age_s(context: Context, name: str) -> float:
    """Seconds for which the word of a source may be out of date; 0 while it can be heard."""
    record = context.record
    since_s = record.failing_s.get(name) if _has_spoken(context, name) else record.started_s
    return context.clock() - since_s if since_s is not None else 0.0


def _has_spoken(context: Context, name: str) -> bool:
    return name in context.memory.snapshots and name not in context.memory.stand_ins


def checks(context: Context, now: datetime) -> list[dict[str, Any]]:
    """Each thing that can be wrong; ``name``, ``period_ns`` and ``last_heartbeat`` as BalanceD has them.

    ``now`` is the time of day. Sources and conditions are told, and are no reason to end a director that holds.
    """
    heartbeat = now.astimezone(UTC) - timedelta(seconds=pass_age_s(context))
    found: list[dict[str, Any]] = [
        {
            "name": "pass",
            "healthy": is_healthy(context),
            "period_ns": round(context.settings.unhealthy_after_s * 1e9),
            "last_heartbeat": heartbeat.isoformat(),
        },
        {"name": "ready", "healthy": not unready(context), "message": "; ".join(unready(context))},
    ]
    found += [
        {"name": f"source {name}", "healthy": age_s == 0, "age_s": round(age_s, 3)}
        for name in context.ports.sources
        for age_s in [source_age_s(context, name)]
    ]
    known = {each["name"]: each for each in found}
    for name, text in sorted(context.standing.all.items()):
        known.setdefault(name, {"name": name}).update(healthy=False, message=text)
    return list(known.values())


def dump(context: Context, version: str) -> Iterator[str]:
    """The state in lines of JSON: the node, then VIPs, those first that are not announced, up to MAX_VIPS_TOLD."""
    whole = status(context, version)
    fields = msgspec.to_builtins(whole)
    vips = fields.pop("vips")
    yield f"state of the node: {_line({**fields, 'vips': len(vips)})}"
    told = sorted(vips, key=lambda vip: bool(vip["state"] == "announced"))
    for vip in told[:MAX_VIPS_TOLD]:
        yield f"state of a VIP: {_line(vip)}"
    if len(told) > MAX_VIPS_TOLD:
        yield f"and {len(told) - MAX_VIPS_TOLD} VIPs more, see balanced status"


def _line(fields: dict[str, Any]) -> str:
    return msgspec.json.encode(fields).decode()
