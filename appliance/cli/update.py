"""``balanced update``: a new version into the slot that does not run."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from appliance.cli import handover
from appliance.cli.socket import socket_option
from appliance.errors import ApplianceError, ControlError, UpdateRefused
from appliance.slots import counting
from appliance.slots.bundle import Manifest, Update, opened
from appliance.slots.carry import carry, grow, mounted, patterns
from appliance.slots.loader import GRUBENV, change, running_slot, slots_in
from appliance.slots.partition import LABELS, Progress, digest_of, partition, room_bytes, write
from appliance.slots.signature import KEYS, signer


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--keys", type=click.Path(path_type=Path), default=KEYS, show_default=True, help="Whom to believe.")
@click.option("--drain/--no-drain", "drained", default=True, show_default=True, help="Out of service first.")
@click.option("--timeout", "timeout_s", default=120.0, show_default=True, metavar="SECONDS", help="Longest drain.")
@click.option("--reboot", is_flag=True, help="Restart into it at once.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("/etc/balanced/appliance.yaml"),
    show_default=True,
    help="The configuration of this node; without one there is nothing to drain.",
)
@socket_option
def command(file: Path, keys: Path, timeout_s: float, config: Path, path: Path, *, drained: bool, reboot: bool) -> None:
    """Write FILE (- is standard input) into the slot that does not run, to be tried at the next start.

    The slot that runs is never touched, and starts again if the new one does not prove itself within three starts. Exit
    status 4 if the update is refused; nothing was changed then, but for a slot that was written in part, which is not
    started. A node that was drained by this comes back by itself, once the new version has proven itself.
    """
    target = counting.other(running_slot())
    device, wanted = partition(target, LABELS), patterns()
    counting.written(slots_in(GRUBENV), target)
    with opened(file) as update:
        name = signer(update.signed, update.signature, keys)
        check(update.manifest, os.uname().machine, room_bytes(device))
        click.echo(f"version {update.manifest.version} of {update.manifest.created}, signed by {name}")
        with out_of_service(path, timeout_s) if drained and config.exists() else _as_it_is():
            install(update, target, device, wanted)
    click.echo(f"slot {target.upper()} is tried at the next start; balanced slots shows how it went")
    if reboot:
        subprocess.run(["/usr/bin/systemctl", "reboot"], check=True)
    else:
        click.echo("to start it: systemctl reboot")


def check(manifest: Manifest, machine: str, most_bytes: int) -> None:
    """Refuse what cannot start from this node's slot.

    Raises:
        UpdateRefused: it is for another machine, or too large.
    """
    if manifest.machine != machine:
        raise UpdateRefused(f"the update is for {manifest.machine}, and this machine is {machine}", hint="get that one")
    if not 0 < manifest.bytes <= most_bytes:
        raise UpdateRefused(
            f"the update has {manifest.bytes} bytes, and the slot has room for {most_bytes}",
            hint="write the whole image anew (docs/upgrade.md, recovery)",
        )


def install(update: Update, target: str, device: Path, wanted: tuple[str, ...]) -> None:
    """Write, read back, take along what makes this node, and let it be tried.

    Raises:
        UpdateRefused: what came is not what was signed.
        SlotError: a device does not do what it should.
    """
    promised = update.manifest
    change(lambda each: counting.written(each, target))
    with update.root() as content, _bar("writing", promised.bytes) as progress:
        came = write(content, device, promised.bytes, progress)
    if came != promised.sha256:
        raise UpdateRefused(f"root.img.zst: its SHA-256 is {came}, not the signed one", hint="download it again")
    with _bar("reading back", promised.bytes) as progress:
        stands = digest_of(device, promised.bytes, progress)
    if stands != promised.sha256:
        raise UpdateRefused(f"{device}: reads back otherwise than it was written", hint="replace the disk; dmesg")
    with mounted(device) as root:
        grow(device)
        taken = carry(wanted, Path("/"), root)
    click.echo(f"taken along: {', '.join(taken)}")
    change(lambda each: counting.tried(each, target))


@contextmanager
def out_of_service(socket: Path, timeout_s: float) -> Iterator[None]:
    """Drained from here on; as before if what is done meanwhile fails.

    Raises:
        ControlError: the director cannot be drained.
    """
    try:
        ordered = handover.leave(socket, timeout_s)
    except ControlError as error:
        raise ControlError(f"the node cannot be drained: {error}", hint="--no-drain updates it as it is") from None
    try:
        yield
    except (ApplianceError, KeyboardInterrupt):
        if ordered:
            handover.come_back(socket)
        raise


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _bar(what: str, total_bytes: int) -> Iterator[Progress]:
    from rich import progress  # noqa: PLC0415 - only this needs it

    columns = (progress.BarColumn(), progress.DownloadColumn(), progress.TimeRemainingColumn())
    with progress.Progress("{task.description}", *columns) as bar:
        task = bar.add_task(what, total=total_bytes)
        yield lambda done: bar.advance(task, done)
