"""The frame of the command line: finding commands, exit codes, where messages go."""

import sys
from types import ModuleType

import click
import pytest

from appliance import __version__
from appliance.cli import main as frame
from appliance.errors import AlreadyRunning, ApplianceError, BirdUnreachable, ConfigError


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        frame.main(arguments)
    return int(caught.value.code or 0)


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be a command ``raise`` that raises ``error``."""

    @click.command()
    def command() -> None:
        raise error

    module = ModuleType("planted_command")
    module.__dict__["command"] = command
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(frame, "COMMANDS", {"raise": module.__name__})


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"balanced, version {__version__}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in frame.COMMANDS)


def test_an_unknown_command_is_a_mistake_in_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("chekc") == 2
    assert "No such command" in capsys.readouterr().err


def test_a_command_is_imported_only_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module of another command could not even be found."""
    raising(ApplianceError("called"), monkeypatch)
    monkeypatch.setattr(frame, "COMMANDS", {**frame.COMMANDS, "absent": "appliance.cli.no_such_module"})
    assert run("raise") == 1
    with pytest.raises(ModuleNotFoundError):
        frame.main(["absent"])


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        pytest.param(ApplianceError("broken", hint="mend it"), 1, "balanced: broken (mend it)\n", id="1 failed"),
        pytest.param(BirdUnreachable("no answer"), 1, "balanced: no answer\n", id="1 for what has no own status"),
        pytest.param(ConfigError(("a.yaml:1: x", "a.yaml:2: y")), 2, "a.yaml:1: x\na.yaml:2: y\n", id="2 bad config"),
        pytest.param(AlreadyRunning("another runs"), 4, "balanced: another runs\n", id="4 refused"),
    ],
)
def test_an_error_goes_to_stderr_and_becomes_its_exit_status(
    error: ApplianceError,
    status: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(error, monkeypatch)
    assert run("raise") == status
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", message)


def test_a_bug_is_not_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """I8: an unknown exception ends the process with its traceback."""
    raising(ZeroDivisionError("a bug"), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        frame.main(["raise"])
