"""What consoles show, gathered from this host's kernel and a director's socket."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli import console


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what belongs to the node; links and addresses are this host's."""
    monkeypatch.setattr(console, "CONFIG", tmp_path / "appliance.yaml")
    monkeypatch.setattr(console, "REFUSED", tmp_path / "refused")
    return tmp_path


def shown(node: Path) -> str:
    done = CliRunner().invoke(console.command, ["--once", "--socket", str(node / "control.sock")])
    assert done.exit_code == 0, done.output
    return done.output


def test_without_a_configuration_the_director_is_not_even_asked(node: Path) -> None:
    assert "waits for one of:" in shown(node)
    assert "No word from the director" not in shown(node)


def test_what_firstboot_refused_is_shown(node: Path) -> None:
    (node / "refused").write_text("/etc/balanced/appliance.yaml:5: bgp: is missing (write it)\n")
    assert "REFUSED, and nothing was changed:\n  /etc/balanced/appliance.yaml:5: bgp: is missing" in shown(node)


def test_a_director_that_does_not_run_is_no_reason_to_show_nothing(node: Path) -> None:
    (node / "appliance.yaml").write_text("")
    assert "No word from the director: no director listens on" in shown(node)
