"""``balanced slots``: what runs, what starts next, and how many tries are left."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from appliance.errors import UpdateRefused
from appliance.slots.counting import MOST_TRIES, SLOTS, Slots, tried
from appliance.slots.loader import GRUBENV, change, running_slot, slots_in


@click.command()
@click.option(
    "--try", "target", type=click.Choice(SLOTS), help="Start this slot next, and keep it if it proves itself."
)
@click.option("--tries", type=click.IntRange(1, MOST_TRIES), default=MOST_TRIES, show_default=True, help="With --try.")
@click.option("--json", "as_json", is_flag=True, help="Print the same as JSON.")
@click.option("--grubenv", type=click.Path(path_type=Path), default=GRUBENV, show_default=True, hidden=True)
def command(target: str | None, tries: int, grubenv: Path, *, as_json: bool) -> None:
    """Show the two slots that this node can start from.

    The way back to the version of before an update is --try with the other slot, and a restart.
    """
    slot = running_slot()
    slots = slots_in(grubenv)
    if target is not None:
        if target == slots.failed:
            raise UpdateRefused(
                f"slot {target.upper()} did not prove itself, or is not whole",
                hint="write it anew: balanced update FILE",
            )
        slots = change(lambda each: tried(each, target, tries), grubenv)
    if as_json:
        click.echo(json.dumps({"running": slot, **slots.variables, "tries": slots.tries}))
    else:
        click.echo("\n".join(table(slots, slot)))


def table(slots: Slots, running_slot: str) -> Iterator[str]:
    """The slots as lines."""
    yield "SLOT  RUNS  STATE"
    for slot in SLOTS:
        yield f"{slot.upper():4}  {'yes' if slot == running_slot else 'no':4}  {state(slots, slot)}"
    yield ""
    yield f"next start: {(slots.trial if slots.tries else slots.good).upper()}"


def state(slots: Slots, slot: str) -> str:
    """What is known of one slot, in words."""
    known = ["good"] if slot == slots.good else []
    if slot == slots.trial:
        known.append(f"on trial, {slots.tries} of {MOST_TRIES} tries left")
    if slot == slots.failed:
        known.append("failed: not started unless somebody chooses it at the console")
    return ", ".join(known) or "not in use"
