"""``balanced assess``: has the slot that runs proven itself? Run at each start by balanced-assess.service."""

import os
import time
from pathlib import Path

import click
import msgspec

from appliance import __version__
from appliance.cli import handover
from appliance.cli.client import ask
from appliance.cli.facts import gather
from appliance.cli.socket import socket_option
from appliance.config.load import load
from appliance.decide.doctor import diagnose
from appliance.director.status import Status
from appliance.errors import ApplianceError, ExitCode
from appliance.model.finding import Grade
from appliance.slots.counting import proven, started
from appliance.slots.loader import GRUBENV, change, running_slot
from appliance.telemetry import messages
from appliance.telemetry.journal import Journal

LOOK_S = 5.0
# A director that ends again and again is there now and then.
IN_A_ROW = 3


@click.command()
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path),
    default=Path("/etc/balanced/appliance.yaml"),
    show_default=True,
    help="The configuration of this node; without one it is well when it waits for one.",
)
@click.option("--within", "within_s", default=300.0, show_default=True, metavar="SECONDS", help="Longest wait.")
@click.option("--grubenv", type=click.Path(path_type=Path), default=GRUBENV, show_default=True, hidden=True)
@socket_option
def command(config: Path, within_s: float, grubenv: Path, path: Path) -> None:
    """Wait until this node is well, and let it start from this slot from then on (``balanced slots``).

    Well is: no check of balanced doctor fails and the director has taken its first look at the kernel, three times in a
    row. Exit status 1 if it is not well in time; a slot that is being tried is restarted then, by systemd.
    """
    journal = Journal(identifier="balanced-assess")
    slot = running_slot()
    slots = change(lambda each: started(each, slot), grubenv)
    if slots.failed not in ("", slot):
        journal.tell(messages.SLOT_GIVEN_UP, SLOT=slot, FAILED=slots.failed)
    if proven(slots, slot) == slots:
        return
    amiss = wait(config, path, within_s)
    if amiss:
        journal.tell(messages.SLOT_NOT_PROVEN, SLOT=slot, REASON=amiss, TRIES=slots.tries)
        raise SystemExit(ExitCode.FAILURE)
    change(lambda each: proven(each, slot), grubenv)
    journal.tell(messages.SLOT_PROVEN, SLOT=slot, VERSION=__version__)
    if config.exists():
        handover.come_back(path)


def wait(config: Path, socket: Path, within_s: float) -> str:
    """What is amiss with this node, after so many seconds at most; nothing if it is well."""
    deadline, in_a_row = time.monotonic() + within_s, 0
    while True:
        amiss = look(config, socket)
        in_a_row = 0 if amiss else in_a_row + 1
        if in_a_row == IN_A_ROW:
            return ""
        if time.monotonic() > deadline:
            return amiss or "it was not well for long enough"
        time.sleep(LOOK_S)


def look(config: Path, socket: Path) -> str:
    """What is amiss with this node now."""
    if not config.exists():
        # A data partition that is not there looks like a node that nobody has configured.
        return "" if os.path.ismount(config.parent) else f"{config.parent} is not the data partition's"
    try:
        if not msgspec.convert(ask(socket, "status"), Status).passes:
            return "the director has not looked at the kernel yet"
        findings = diagnose(gather(load(config), config))
    except ApplianceError as error:
        return str(error)
    return "; ".join(f"{each.check}: {each.text}" for each in findings if each.grade is Grade.FAIL)
