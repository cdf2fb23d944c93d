"""Out of service for an update, and back: the order to drain that ``balanced update`` gives and ``assess`` lifts."""

from pathlib import Path

import msgspec

from appliance.cli.client import ask
from appliance.cli.drain import follow
from appliance.director.status import Status

REASON = "update"


def leave(socket: Path, timeout_s: float) -> bool:
    """Drain the node, and return when nothing is announced: whether this gave the order. One that stands is left alone.

    Raises:
        ControlError: no director answers, or VIPs are still announced after this time.
    """
    ordered = _status(socket).drain is None
    if ordered:
        ask(socket, "drain", {"vip": "", "reason": REASON, "now": False})
    follow(socket, "", timeout_s)
    return ordered


def come_back(socket: Path) -> bool:
    """Lift the order of ``leave``, if that is the one that stands: whether it was lifted.

    An order for a single VIP is somebody's own. To lift the node's would lift it too, so then both stay.

    Raises:
        ControlError: no director answers.
    """
    status = _status(socket)
    if status.drain is None or status.drain.why != REASON or len({each.drain for each in status.vips}) > 1:
        return False
    ask(socket, "undrain", {"vip": ""})
    return True


def _status(socket: Path) -> Status:
    return msgspec.convert(ask(socket, "status"), Status)
