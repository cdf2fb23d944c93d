"""``balanced drain``: take this node, or one VIP, out of service without losing a connection that could be kept."""

import sys
import time
from pathlib import Path

import click
import msgspec

from appliance.cli.client import ask
from appliance.cli.socket import socket_option
from appliance.director.operator import Ordered
from appliance.director.status import Status, VipStatus
from appliance.errors import ControlError

LOOK_S = 0.2


@click.command()
@click.option("--vip", default="", metavar="ADDRESS", help="Drain this VIP only (default: the whole node).")
@click.option("--reason", default="", metavar="TEXT", help="Why, for others to read in status, journal and metrics.")
@click.option("--now", is_flag=True, help="Withdraw at once, without asking routers first to use other nodes.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until everything is withdrawn.")
@click.option("--timeout", "timeout_s", default=120.0, show_default=True, metavar="SECONDS", help="Longest wait.")
@socket_option
def command(*, vip: str, reason: str, now: bool, wait: bool, timeout_s: float, path: Path) -> None:
    """De-prefer, wait until new connections stop, withdraw. Holds over restarts and reboots until ``undrain``.

    Routers are asked to use other nodes (AS path, community 65535:0, MED); a VIP is withdrawn when no new connection
    came for gate.settle_s, after gate.drain_timeout_s at the latest. Interrupting this command stops only the waiting.
    """
    answer = msgspec.convert(ask(path, "drain", {"vip": vip, "reason": reason, "now": now}), Ordered)
    click.echo(answer.done)
    if answer.warning:
        click.echo(f"warning: {answer.warning}", err=True)
    if wait:
        follow(path, vip, timeout_s)


def follow(path: Path, vip: str, timeout_s: float) -> None:
    """One line that changes, on a terminal; where there is none, a line for each change."""
    started_s, said = time.monotonic(), ""
    live = sys.stdout.isatty()
    while True:
        status = msgspec.convert(ask(path, "status"), Status)
        concerned = [each for each in status.vips if each.drain and vip in ("", each.vip)]
        left = [each for each in concerned if each.state == "draining" or each.announced_to]
        waited_s = time.monotonic() - started_s
        text = progress(concerned, left)
        if text != said or live:
            click.echo(f"\r\033[K{text}, {waited_s:.1f} s" if live else f"{text}, {waited_s:.1f} s", nl=not live)
            said = text
        if not left:
            break
        if waited_s > timeout_s:
            raise ControlError(
                f"after {timeout_s:g} s {len(left)} of {len(concerned)} VIPs are still announced",
                hint="the order stands; balanced status says what they wait for",
            )
        time.sleep(LOOK_S)
    click.echo("\ndrained" if live else "drained")


def progress(concerned: list[VipStatus], left: list[VipStatus]) -> str:
    """How far the drain is."""
    avoided = sum(1 for each in left if each.depreferred)
    return f"{len(concerned) - len(left)} of {len(concerned)} VIPs withdrawn, {avoided} de-preferred"
