"""What systemd is told: readiness, a status line, and the watchdog's food, which only a completed pass brings."""

import time

from appliance.director.context import Context
from appliance.director.record import Ending
from appliance.director.wakes import Scope
from appliance.telemetry.journal import plain
from appliance.telemetry.notify import Notify, notify

# templates/systemd/balanced-director.service.j2 has the same.
WATCHDOG_S = 12.0
# More often than needed would only wake systemd.
FEED_S = 2.0
# A timer that is late this many times over does not come any more.
MISSED_RESYNCS = 12


def reloading() -> None:
    """A reload begins; the next director's first pass ends it. The time is that of systemd's own clock."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> None:
    """The director ends because it was told to."""
    notify("STOPPING=1", "STATUS=stopped")


class Supervision:
    """Tells systemd about the passes of one director (docs/decisions/0009-what-feeds-the-watchdog.md)."""

    def __init__(self, tell: Notify = notify) -> None:
        self._tell = tell
        self._ready = False
        self._status = ""
        self._fed_s = float("-inf")
        self._whole_s: float | None = None

    def passed(self, context: Context, scope: Scope, ending: Ending) -> None:
        """A pass ended. One that could not read the kernel feeds nothing, nor do any while no full pass comes round."""
        now_s, settings = context.clock(), context.settings
        if scope.everything or self._whole_s is None:
            self._describe(context)
        if ending is Ending.UNREADABLE:
            return
        if scope.everything:
            self._whole_s = now_s
        if self._whole_s is None or now_s - self._whole_s > settings.resync_s * MISSED_RESYNCS:
            return
        if not self._ready:
            # A slow canary is the operator's choice, and no reason to be killed.
            watchdog_s = max(WATCHDOG_S, 3 * settings.canary_s)
            self._ready = self._tell("READY=1", f"WATCHDOG_USEC={round(watchdog_s * 1e6)}")
        if now_s - self._fed_s >= FEED_S and self._tell("WATCHDOG=1"):
            self._fed_s = now_s

    def _describe(self, context: Context) -> None:
        status = status_line(context)
        if status != self._status and self._tell(f"STATUS={status}"):
            self._status = status


def status_line(context: Context) -> str:
    """The node in one line, for ``systemctl status``."""
    memory = context.memory
    parts = []
    if memory.desired is None:
        silent = [name for name in context.ports.sources if name not in memory.snapshots]
        parts.append(f"waiting for the first word of source {', '.join(silent)}")
    elif memory.routing is None:
        parts.append(f"{len(memory.announce)} of {len(memory.by_vip)} VIPs to be announced, BIRD does not say")
    else:
        routing = memory.routing
        told, worse = routing.exported & memory.by_vip.keys(), routing.exported & routing.depreferred
        marked = f" ({len(worse)} de-preferred)" if worse else ""
        up = sum(peer.established for peer in routing.peers)
        parts.append(f"{len(told)} of {len(memory.by_vip)} VIPs announced{marked}")
        parts.append(f"{up} of {len(routing.peers)} BGP sessions up")
    conditions = context.standing.all
    if conditions:
        first, *others = conditions.items()
        more = f" (and {len(others)} more, see balanced status)" if others else ""
        parts.append(f"degraded: {first[0]}: {first[1]}{more}")
    return plain("; ".join(parts))
