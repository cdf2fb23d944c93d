"""What a real journald stores of our lines, and how it explains them. Run as root: it gets a /run of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.telemetry import messages
from appliance.telemetry.catalog import catalog

HERE = Path(__file__).parent
PROGRAM = """
import os, subprocess, sys
from appliance.telemetry import messages
from appliance.telemetry.journal import Journal, Standing

if sys.argv[1] == "native":
    # As systemd does for a service: stderr is a stream to journald, and the environment says which.
    sys.stderr = open({stream!r}, "w")
    found = os.fstat(sys.stderr.fileno())
    os.environ["JOURNAL_STREAM"] = f"{{found.st_dev}}:{{found.st_ino}}"
journal = Journal()
reason = "0 of 1 ready\\nfor\\x00 it"
journal.tell(messages.WITHDRAWING, VIP="10.50.0.1", REASON=reason, FROM="up", TO="down", GENERATION=4)
standing = Standing(journal)
standing.begin(messages.KERNEL, "no memory", "tcp/10.50.0.2:80", VIP="10.50.0.2", SERVICE="tcp/10.50.0.2:80")
standing.end(messages.KERNEL, "tcp/10.50.0.2:80", VIP="10.50.0.2", SERVICE="tcp/10.50.0.2:80")
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a journald stored of PROGRAM's lines."""
    folder = tmp_path_factory.mktemp("journal")
    (folder / "balanced.catalog").write_text(catalog())
    (folder / "program.py").write_text(PROGRAM.format(stream=str(folder / "unused")))
    shell = ["unshare", "--mount", "sh", str(HERE / "journald.sh"), str(folder), str(folder / "balanced.catalog")]
    program = [sys.executable, str(folder / "program.py"), "native"]
    done = subprocess.run([*shell, *program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def lines(folder: Path) -> list[dict[str, Any]]:
    """Our lines in the order in which they were written."""
    found = [json.loads(line) for line in (folder / "lines.json").read_text().splitlines()]
    return [line for line in found if line.get("SYSLOG_IDENTIFIER") == "balanced-director"]


def ours(line: dict[str, Any]) -> dict[str, Any]:
    """What we sent, without what journald and the library know by themselves."""
    known = {"MESSAGE", "MESSAGE_ID", "PRIORITY"}
    return {name: value for name, value in line.items() if name in known or name.startswith("BALANCED_")}


def test_a_withdrawal_is_stored_with_its_identifier_and_every_field_for_itself(stored: Path) -> None:
    assert ours(lines(stored)[0]) == {
        "MESSAGE": 'withdrawing VIP=10.50.0.1 REASON="0 of 1 ready\\nfor\\u0000 it"',
        "MESSAGE_ID": messages.WITHDRAWING.id,
        "PRIORITY": "4",
        "BALANCED_VIP": "10.50.0.1",
        "BALANCED_REASON": "0 of 1 ready for  it",
        "BALANCED_FROM": "up",
        "BALANCED_TO": "down",
        "BALANCED_GENERATION": "4",
    }


def test_nothing_but_the_fields_that_were_named_leaves_the_process(stored: Path) -> None:
    """A log handler would send the whole record, arguments included."""
    for line in lines(stored):
        others = line.keys() - ours(line).keys()
        known_to_journald = {name for name in others if name.startswith("_")}
        assert others - known_to_journald <= {"CODE_FILE", "CODE_LINE", "CODE_FUNC", "SYSLOG_IDENTIFIER"}


def test_the_story_of_a_vip_has_the_beginning_and_the_end_of_its_trouble(stored: Path) -> None:
    story = [line for line in lines(stored) if line.get("BALANCED_VIP") == "10.50.0.2"]

    assert [(line["MESSAGE_ID"], line["PRIORITY"]) for line in story] == [
        (messages.KERNEL.id, "4"),
        (messages.ENDED.id, "5"),
    ]


def test_journalctl_explains_a_line_with_its_own_vip_and_reason(stored: Path) -> None:
    explained = " ".join(line.lstrip("░ ") for line in (stored / "explained.txt").read_text().splitlines())

    assert "This node was read not to serve 10.50.0.1" in explained
    assert "condition: kernel" in explained
    assert "no memory. A step for a service" in explained


def listed(root: Path, text: str) -> set[str]:
    """The identifiers that journalctl finds in a catalogue."""
    folder = root / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (folder / "balanced.catalog").write_text(text)
    journalctl = ["journalctl", f"--root={root}"]
    subprocess.run([*journalctl, "--update-catalog"], capture_output=True, timeout=30, check=True)
    done = subprocess.run([*journalctl, "--list-catalog"], capture_output=True, text=True, timeout=30, check=True)
    return {line.split()[0] for line in done.stdout.splitlines()}


def test_journalctl_finds_an_entry_for_every_message(tmp_path: Path) -> None:
    assert listed(tmp_path, catalog()) == {each.id for each in messages.MESSAGES}


def test_an_identifier_that_is_cut_short_is_missed(tmp_path: Path) -> None:
    """The check above can fail."""
    text = catalog().replace(messages.BIRD.id, messages.BIRD.id[:-1])

    assert listed(tmp_path, text) == {each.id for each in messages.MESSAGES} - {messages.BIRD.id}
