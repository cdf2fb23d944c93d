"""``balanced slots``, ``assess`` and what ``update`` refuses: on a node whose boot loader is a file."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from appliance.cli import assess, handover, slots, update
from appliance.director.status import DrainStatus, Status, VipStatus
from appliance.errors import ControlError, SlotError, UpdateRefused
from appliance.model.finding import Finding, Grade
from appliance.slots.bundle import Manifest
from appliance.slots.counting import Slots
from appliance.slots.grubenv import render
from appliance.slots.loader import slots_in

NODE = Status(
    node="lb1", version="1", degraded=False, waiting_for="", bird="2.17", peers=(), conditions={}, problems=(),
    draining=0, passes=1, vips=(),
)  # fmt: skip
VIP = VipStatus(
    vip="10.50.0.1", state="drained", reason="", for_s=1, kernel="proven", services=(), owners=(), backends_ready=1,
    backends=1, announced_to=(), flaps=0, recent_repairs=0, drain="drained by root: update",
)  # fmt: skip
ORDER = DrainStatus(who="root", why="update", since=datetime(2026, 1, 1, tzinfo=UTC))
SOCKET = Path("control.sock")


class Director:
    """Answers with this status, and remembers what it was asked."""

    def __init__(self, status: Status | ControlError = NODE) -> None:
        self.status = status
        self.verbs: list[str] = []

    def ask(self, _path: Path, verb: str, _arguments: Mapping[str, object] | None = None) -> object:
        self.verbs.append(verb)
        if isinstance(self.status, ControlError):
            raise self.status
        return msgspec.to_builtins(self.status)


class Node:
    """A node with slots: its grubenv, its configuration, its director and what the doctor finds."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.grubenv, self.config, self.director = folder / "grubenv", folder / "appliance.yaml", Director()
        self.config.write_text("")
        self.findings: tuple[Finding, ...] = (Finding("clock", Grade.WARN, "nobody sets it"),)
        self._patch = monkeypatch
        for module in (assess, handover):
            monkeypatch.setattr(module, "ask", self.director.ask)
        monkeypatch.setattr(assess, "load", lambda _path: None)
        monkeypatch.setattr(assess, "gather", lambda *_: None)
        monkeypatch.setattr(assess, "diagnose", lambda _: self.findings)
        monkeypatch.setattr(assess, "LOOK_S", 0.0)

    def runs(self, slot: str, known: Slots) -> None:
        self.grubenv.write_bytes(render(known.variables))
        for module in (assess, slots):
            self._patch.setattr(module, "running_slot", lambda: slot)

    def assess(self) -> Result:
        words = ["--grubenv", str(self.grubenv), "--config", str(self.config), "--within", "0.05"]
        return CliRunner().invoke(assess.command, words)

    def slots(self, *words: str) -> Result:
        return CliRunner().invoke(slots.command, ["--grubenv", str(self.grubenv), *words])


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(tmp_path, monkeypatch)


def test_a_slot_on_trial_that_is_well_becomes_the_good_one(node: Node) -> None:
    """A warning of the doctor is no reason against it."""
    node.runs("b", Slots("a", "b", 2))
    done = node.assess()
    assert done.exit_code == 0, done.output
    assert slots_in(node.grubenv) == Slots("b")
    assert "slot proven SLOT=b" in done.stderr


def test_a_drain_that_the_update_ordered_ends_with_the_proof(node: Node) -> None:
    node.director.status = msgspec.structs.replace(NODE, drain=ORDER, vips=(VIP,))
    node.runs("b", Slots("a", "b", 2))
    assert node.assess().exit_code == 0
    assert node.director.verbs[-1] == "undrain"


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(NODE, id="none stands"),
        pytest.param(
            msgspec.structs.replace(NODE, drain=msgspec.structs.replace(ORDER, why="new card")), id="an operator's own"
        ),
        pytest.param(
            msgspec.structs.replace(
                NODE, drain=ORDER, vips=(VIP, msgspec.structs.replace(VIP, drain="drained by alice: web"))
            ),
            id="one for a VIP would go with it",
        ),
    ],
)
def test_nobody_elses_drain_ends(node: Node, status: Status) -> None:
    node.director.status = status
    node.runs("b", Slots("a", "b", 2))
    assert node.assess().exit_code == 0
    assert "undrain" not in node.director.verbs


@pytest.mark.parametrize(
    ("status", "finding", "named"),
    [
        pytest.param(NODE, Finding("modules", Grade.FAIL, "ip_vs is not there"), "modules: ip_vs is not", id="doctor"),
        pytest.param(ControlError("no director listens"), None, "no director listens", id="no director"),
        pytest.param(msgspec.structs.replace(NODE, passes=0), None, "has not looked at the kernel", id="not ready"),
    ],
)
def test_a_slot_that_is_not_well_fails_and_stays_on_trial(
    node: Node, status: Status | ControlError, finding: Finding | None, named: str
) -> None:
    node.director.status = status
    node.findings = (finding,) if finding else ()
    node.runs("b", Slots("a", "b", 2))
    done = node.assess()
    assert done.exit_code == 1
    assert slots_in(node.grubenv) == Slots("a", "b", 2)
    assert named in done.stderr


def test_a_node_without_configuration_is_well_where_the_data_partition_is_there(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.config.unlink()
    node.runs("b", Slots("a", "b", 2))
    done = node.assess()
    assert done.exit_code == 1
    assert "is not the data partition's" in done.stderr
    monkeypatch.setattr("os.path.ismount", lambda path: path == node.config.parent)
    assert node.assess().exit_code == 0
    assert slots_in(node.grubenv) == Slots("b")


def test_the_good_slot_is_not_asked_again(node: Node) -> None:
    node.director.status = ControlError("no director listens")
    node.runs("a", Slots("a"))
    assert node.assess().exit_code == 0


def test_a_trial_that_did_not_start_is_given_up_and_said(node: Node) -> None:
    node.runs("a", Slots("a", "b", 2))
    done = node.assess()
    assert done.exit_code == 0
    assert slots_in(node.grubenv) == Slots("a", failed="b")
    assert "slot given up" in done.stderr


def test_slots_are_shown_with_what_starts_next(node: Node) -> None:
    node.runs("a", Slots("a", "b", 2))
    assert node.slots().stdout.splitlines() == [
        "SLOT  RUNS  STATE",
        "A     yes   good",
        "B     no    on trial, 2 of 3 tries left",
        "",
        "next start: B",
    ]
    assert json.loads(node.slots("--json").stdout) == {
        "running": "a", "good": "a", "trial": "b", "tries": 2, "failed": "",
    }  # fmt: skip


def test_the_slot_of_before_is_tried_on_request(node: Node) -> None:
    node.runs("b", Slots("b"))
    assert node.slots("--try", "a", "--tries", "1").exit_code == 0
    assert slots_in(node.grubenv) == Slots("b", "a", 1)


def test_a_slot_that_failed_is_not_tried_again(node: Node) -> None:
    node.runs("a", Slots("a", failed="b"))
    refused = node.slots("--try", "b").exception
    assert isinstance(refused, UpdateRefused)
    assert "balanced update FILE" in refused.hint


def test_a_machine_without_slots_says_so() -> None:
    assert isinstance(CliRunner().invoke(slots.command, []).exception, SlotError)


@pytest.mark.parametrize(
    ("machine", "size_bytes", "named"),
    [
        pytest.param("aarch64", 10, "for aarch64, and this machine is x86_64", id="another machine"),
        pytest.param("x86_64", 11, "has 11 bytes, and the slot has room for 10", id="too large"),
        pytest.param("x86_64", 0, "has 0 bytes", id="empty"),
    ],
)
def test_an_update_that_cannot_start_here_is_refused(machine: str, size_bytes: int, named: str) -> None:
    with pytest.raises(UpdateRefused, match=named):
        update.check(Manifest(1, machine, "2", "", size_bytes, ""), "x86_64", 10)


def test_a_node_that_cannot_be_drained_is_left_alone(node: Node) -> None:
    node.director.status = ControlError("no director listens")
    with pytest.raises(ControlError, match=r"cannot be drained: no director listens.*--no-drain"):
        update.out_of_service(SOCKET, 1).__enter__()


@pytest.mark.parametrize(
    ("standing", "verbs"),
    [
        pytest.param(None, ["status", "drain", "status", "undrain"], id="its own order"),
        pytest.param(msgspec.structs.replace(ORDER, why="new card"), ["status"], id="an operator's order"),
    ],
)
def test_what_fails_after_the_drain_puts_the_node_back(
    node: Node, monkeypatch: pytest.MonkeyPatch, standing: DrainStatus | None, verbs: list[str]
) -> None:
    monkeypatch.setattr(handover, "follow", lambda *_: None)
    node.director.status = msgspec.structs.replace(NODE, drain=standing)

    def fail() -> None:
        with update.out_of_service(SOCKET, 1):
            node.director.status = msgspec.structs.replace(NODE, drain=standing or ORDER)
            raise SlotError("the disk")

    with pytest.raises(SlotError, match="the disk"):
        fail()
    assert node.director.verbs == verbs
