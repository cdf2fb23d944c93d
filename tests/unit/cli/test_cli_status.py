"""``balanced status``: a table or JSON, and an exit status for scripts."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from appliance.cli import status as module
from appliance.director.status import Status
from appliance.errors import ExitCode

WELL = Status(
    node="lb1",
    version="0.1.0",
    degraded=False,
    waiting_for="",
    bird="2.17.1",
    peers=(),
    conditions={},
    problems=(),
    draining=0,
    passes=3,
    vips=(),
)
DEGRADED = msgspec.structs.replace(WELL, degraded=True, conditions={"bird": "no answer"})


def answering(status: Status, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str]]:
    """A director that answers with ``status``; the list gets what it is asked."""
    asked: list[tuple[Path, str]] = []

    def ask(path: Path, verb: str) -> object:
        asked.append((path, verb))
        return msgspec.to_builtins(status)

    monkeypatch.setattr(module, "ask", ask)
    return asked


@pytest.mark.parametrize(
    ("status", "code"), [pytest.param(WELL, 0, id="well"), pytest.param(DEGRADED, ExitCode.DEGRADED, id="degraded: 3")]
)
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_exit_status_says_whether_the_node_is_degraded(
    status: Status, code: int, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(status, monkeypatch)

    assert CliRunner().invoke(module.command, arguments).exit_code == code


def test_json_is_the_whole_status_as_the_director_gave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(DEGRADED, monkeypatch)

    out = CliRunner().invoke(module.command, ["--json"]).stdout

    assert msgspec.convert(json.loads(out), Status) == DEGRADED


def test_the_table_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long condition wraps where COLUMNS says; not one escape sequence goes into a pipe."""
    answering(msgspec.structs.replace(WELL, conditions={"routes": "word " * 40}), monkeypatch)

    out = CliRunner(env={"COLUMNS": "60"}).invoke(module.command, []).stdout

    assert max(map(len, out.splitlines())) in range(50, 61)
    assert "\x1b" not in out


def test_another_socket_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(WELL, monkeypatch)

    CliRunner().invoke(module.command, ["--socket", "/run/other/control.sock"])
    CliRunner().invoke(module.command, [])

    assert asked == [(Path("/run/other/control.sock"), "status"), (Path("/run/balanced/control.sock"), "status")]
