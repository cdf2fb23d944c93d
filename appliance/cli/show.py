"""Answers of the director as text for people."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.director.status import Status, VipStatus

_MINUTE_S = 60
_HOUR_S = 60 * _MINUTE_S
_DAY_S = 24 * _HOUR_S
_STYLES = {"announced": "green", "withdrawn": "red", "removing": "yellow"}


def show_status(status: Status) -> RenderableType:
    """The status as a headline, a table of VIPs and what stands in the way."""
    parts: list[RenderableType] = [_headline(status)]
    if status.vips:
        parts.append(_vips(status.vips))
    else:
        parts.append(Text(f"no VIPs{f': waiting for the {status.waiting_for}' if status.waiting_for else ''}"))
    parts.extend(Text(f"! {name}: {text}", style="yellow") for name, text in status.conditions.items())
    parts.extend(Text(f"! refused: {problem}", style="yellow") for problem in status.problems)
    return Group(*parts)


def _headline(status: Status) -> Text:
    up = sum(peer.established for peer in status.peers)
    bird = f"BIRD {status.bird}, {up} of {len(status.peers)} sessions up" if status.bird else "BIRD not answering"
    text = Text(f"{status.node}  balanced {status.version}  {bird}  ")
    text.append("degraded" if status.degraded else "well", style="yellow" if status.degraded else "green")
    return text


def _vips(vips: tuple[VipStatus, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("VIP", "SERVICES", "BACKENDS", "KERNEL", "ANNOUNCED TO", "STATE", "SINCE", "WHY"):
        table.add_column(name, overflow="fold")
    for vip in vips:
        table.add_row(
            vip.vip,
            " ".join(vip.services) or "-",
            f"{vip.backends_ready}/{vip.backends}",
            "ok" if vip.kernel == "proven" else vip.kernel,
            " ".join(vip.announced_to) or "-",
            Text(vip.state, style=_STYLES.get(vip.state, "")),
            ago(vip.for_s),
            vip.reason,
        )
    return table


def ago(seconds: float) -> str:
    """A length of time in its two largest units: ``3d 4h``, ``12m 5s``, ``7s``."""
    whole = int(seconds)
    if whole >= _DAY_S:
        return f"{whole // _DAY_S}d {whole % _DAY_S // _HOUR_S}h"
    if whole >= _HOUR_S:
        return f"{whole // _HOUR_S}h {whole % _HOUR_S // _MINUTE_S}m"
    if whole >= _MINUTE_S:
        return f"{whole // _MINUTE_S}m {whole % _MINUTE_S}s"
    return f"{whole}s"
