"""What the trials measured, and the table of docs/faults.md.

``python -m tests.lab.faults.report`` prints what the last runs wrote down; with ``--document`` the document.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.lab.faults.rows import ROWS, Row
from tests.lab.faults.trial import RESULTS

WIDTH = 200

HEAD = """\
# Faults

Break anything on a director or a worker: this is what happens, and how soon. One rule decides every row: **withdraw on
local proof, de-prefer on suspicion, hold on loss of information.**

- **withdraw**: this node has *read* that it cannot serve the VIP: the kernel's state is wrong and not repaired, no
  backend is ready, an operator drains it.
- **de-prefer**: nobody can vouch for this node: its director stops, ends again and again, or is gone. The route stays
  and is worse: AS path prepended, community 65535:0 (RFC 8326), higher MED. If other nodes are well the traffic leaves;
  if every node is in that state it still flows.
- **hold**: the node has lost a source of information, not a capability. Nothing changes, for any length of time.
- **repair**: what a pass finds broken it puts right in that pass and reads back; only what stays wrong is withdrawn.
- **refuse**: what is asked for is not taken, and whoever asked is told.

Bounds run from the fault to its effect in the router's table. Each row has a test in `tests/lab/faults`, named by its
number, that asserts the effect, what must not move, and the exact number of BGP updates at the router. `make faults`
runs them and prints the times that it measured. What the lab cannot show has others: `grep -rn test_fault_ tests`.

| # | Fault | Effect | What happens | Bound |
|---|---|---|---|---|
"""

TAIL = """
These need more than routers see, so their tests stand elsewhere:

| # | Fault | What happens | Bound | Tests |
|---|---|---|---|---|
| 49 | the allocator's leader is killed or stands still, two race, a write meets another | no address is given twice, none is changed | the lease's time | `tests/contract/kube/test_ipam_processes.py` |
| 50 | an update of the system does not boot, or is not well | the node announces nothing; the slot of before starts | 3 tries | `tests/image/test_image_slots.py`, `tests/image/test_image_update.py` |
| 51 | a play of Ansible ends in the middle of a node | that node stays drained, no other is touched | the next run begins with it | `tests/image/test_two_nodes_rolling.py`, `tests/playbooks` |
"""  # noqa: E501 - a row of a table is a line


@dataclass(frozen=True, slots=True)
class Measured:
    """What one test wrote down; times in seconds."""

    row: int
    test: str
    measured_s: float | None
    back_s: float | None
    updates: int
    sent: int
    lost: int


def load(folder: Path = RESULTS) -> list[Measured]:
    """The trials in order of their rows."""
    records = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    kept = [Measured(**{name: each[name] for name in Measured.__dataclass_fields__}) for each in records]
    return sorted(kept, key=lambda each: (each.row, each.test))


def document(rows: Iterable[Row]) -> str:
    """docs/faults.md."""
    lines = (f"| {row.number} | {row.fault} | {row.effect} | {row.what} | {row.bound} |\n" for row in rows)
    return HEAD + "".join(lines) + TAIL


def show(trials: Iterable[Measured]) -> Table:
    """The table of `make faults`."""
    table = Table(title="Faults, as the router saw them")
    for name in ("#", "Trial", "Effect", "Bound"):
        table.add_column(name, justify="right" if name == "#" else "left")
    for name in ("Measured s", "Back s", "Updates", "Lost"):
        table.add_column(name, justify="right")
    for trial in trials:
        table.add_row(*cells(trial))
    return table


def cells(trial: Measured) -> Iterator[str]:
    """One row of the table; a time above its bound is marked."""
    row = ROWS[trial.row]
    late = trial.measured_s is not None and trial.measured_s > row.bound_s
    yield from (str(row.number), escape(trial.test.removeprefix("test_fault_")[3:].replace("_", " ")))
    yield from (row.effect, row.bound)
    yield f"[bold red]{_seconds(trial.measured_s)}[/]" if late else _seconds(trial.measured_s)
    yield from (_seconds(trial.back_s), str(trial.updates), f"{trial.lost} of {trial.sent}" if trial.sent else "-")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    """Print the table, or with --document the document."""
    if sys.argv[1:] == ["--document"]:
        sys.stdout.write(document(ROWS.values()))
    else:
        # Into a file or a pipe as wide as it has to be; on a terminal as wide as that is.
        Console(width=None if sys.stdout.isatty() else WIDTH).print(show(load()))


if __name__ == "__main__":
    main()
