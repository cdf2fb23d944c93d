"""``balanced doctor``: a table or JSON, and an exit status for scripts."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from appliance.cli import doctor as module
from appliance.config.schema import Config
from appliance.errors import ExitCode
from appliance.model.finding import Finding, Grade
from appliance.model.host import Facts, Module

GOLDEN = Path(__file__).parent / "golden"
WELL = Facts(kernel=(6, 12, 117), bird="2.17.6")
WARNED = replace(WELL, conn_tab_bits=12)
FAILED = replace(WARNED, modules={"ip_vs": Module.LOADED, "ip_vs_mh": Module.ABSENT}, kube_proxy=True)
CONFIG = """node: {name: lb1, router_id: 10.0.0.11}
pools: [{name: public, cidrs: [10.50.0.0/24]}]
sources: {file: {path: services}}
bgp: {local_as: 64512, peers: [{name: tor1, address: 10.0.0.1, as: 64500}]}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    """The path of a configuration."""
    (tmp_path / "appliance.yaml").write_text(CONFIG)
    return str(tmp_path / "appliance.yaml")


def finding(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the host be one with these facts."""

    def gather(config: Config, _path: Path) -> Facts:
        assert config.node.name == "lb1"
        return facts

    monkeypatch.setattr(module, "gather", gather)


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        pytest.param(WELL, ExitCode.OK, id="all well: 0"),
        pytest.param(WARNED, ExitCode.DEGRADED, id="warnings: 3"),
        pytest.param(FAILED, ExitCode.FAILURE, id="something fails: 1"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_exit_status_is_the_worst_finding(
    facts: Facts, code: int, arguments: list[str], config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding(facts, monkeypatch)

    assert CliRunner().invoke(module.command, ["--config", config, *arguments]).exit_code == code


def test_the_table_reads_well_at_80_columns(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was looked at and found good lies in golden/doctor-80.txt."""
    finding(FAILED, monkeypatch)

    out = CliRunner(env={"COLUMNS": "80"}).invoke(module.command, ["--config", config]).stdout

    assert out == (GOLDEN / "doctor-80.txt").read_text()


def test_json_has_every_finding_and_the_verdict(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    finding(FAILED, monkeypatch)

    answer = json.loads(CliRunner().invoke(module.command, ["--config", config, "--json"]).stdout)

    assert answer["is"] == "fail"
    assert {
        "check": "modules",
        "is": "fail",
        "text": "this kernel has no ip_vs_mh",
        "do": "install linux-image-amd64, not the cloud flavour; then reboot",
    } in answer["findings"]


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)


@given(st.lists(st.builds(Finding, st.sampled_from(["kernel", "rp_filter"]), st.sampled_from(Grade), words, words)))
def test_no_text_from_outside_steers_the_terminal_or_breaks_the_table(findings: list[Finding]) -> None:
    """An error may quote a file; our own colours are the only escape sequences."""
    text = "\n".join(module.table(findings, 80))

    plain = re.sub(r"\x1b\[\d*m", "", text)
    assert all(char.isprintable() or char == "\n" for char in plain)
