"""``balanced wait``: blocks until something is ready, for init containers and units."""

import asyncio
import shlex
import time
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import click
import msgspec

from appliance.cli.client import ask
from appliance.cli.socket import socket_option
from appliance.errors import ControlError
from appliance.model.address import Address
from appliance.tunnel.waiting import wait_for_vips

AGAIN_S = 0.2
timeout_option = click.option(
    "--timeout-s", type=click.FloatRange(min=0), default=120.0, show_default=True, help="Longest wait in seconds."
)


@click.group()
def command() -> None:
    """Block until something is ready. Exit status 0 when it is, 1 when it is not in time."""


@command.command()
@click.option("--vip", "vips", multiple=True, metavar="ADDRESS", help="Wait for this one; repeatable. Default: any.")
@click.option(
    "--export",
    "file",
    type=click.Path(path_type=Path),
    help="Also write BALANCED_VIP (the first) and BALANCED_VIPS (all) to this file, for a shell to read.",
)
@timeout_option
def vip(vips: Sequence[str], file: Path | None, timeout_s: float) -> None:
    """Wait until this pod has its VIP on the tunnel, and print it, one a line.

    A UDP server has to bind the VIP itself, so it must not start earlier. Use it in an init container.
    """
    found = asyncio.run(wait_for_vips([_address(text) for text in vips], timeout_s))
    for each in found:
        click.echo(each)
    if file is not None:
        _export(file, found)


@command.command()
@socket_option
@timeout_option
def director(path: Path, timeout_s: float) -> None:
    """Wait until this node's director answers and every source of it has spoken."""
    end_s = time.monotonic() + timeout_s
    while True:
        missing = _missing(path)
        if not missing:
            return
        if time.monotonic() >= end_s:
            hint = "journalctl -u balanced-director, or balanced status, say why"
            raise ControlError(f"waited {timeout_s:g} s in vain for the director: {missing}", hint=hint)
        time.sleep(AGAIN_S)


class _Status(msgspec.Struct, frozen=True):
    """What of the status says that the director has begun to work."""

    waiting_for: str
    passes: int


def _missing(path: Path) -> str:
    """What the director still waits for, in words; empty once it is ready."""
    try:
        status = msgspec.convert(ask(path, "status"), _Status)
    except ControlError as error:
        return error.message
    if status.waiting_for:
        return f"it waits for the {status.waiting_for}"
    return "" if status.passes else "no pass is done yet"


def _export(file: Path, found: Sequence[Address]) -> None:
    everything = " ".join(map(str, found))
    text = f"BALANCED_VIP={found[0]}\nBALANCED_VIPS={shlex.quote(everything)}\n"
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no IP address", param_hint="--vip") from None
