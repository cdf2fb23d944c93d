"""``balanced observe`` as a process: on files, on a cluster, until it is interrupted."""

import json
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.kube.source_subject import set_backends
from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.objects import service

WITHIN_S = 30.0
CONFIG = """\
node: {{router_id: 10.0.0.11}}
pools: [{{name: public, cidrs: [10.50.0.0/24]}}]
sources: {sources}
bgp: {{local_as: 64512, peers: [{{address: 10.0.0.1, as: 64500}}]}}
director: {{runtime_dir: {untouched}/run, state_dir: {untouched}/state}}
bird: {{control_socket: {untouched}/bird.ctl}}
"""
WEB = "services: [{name: web, vip: 10.50.0.1, scheduler: rr, ports: [80], backends: [10.1.0.1]}]\n"


class Observing:
    """The process, and the lines that it prints."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        assert process.stdout is not None
        self._out = process.stdout
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._out, selectors.EVENT_READ)

    def line(self) -> str:
        """The next line."""
        deadline_s = time.monotonic() + WITHIN_S
        line = b""
        while not line.endswith(b"\n"):
            assert self._ready.select(deadline_s - time.monotonic()), f"no line within {WITHIN_S:g} s, only {line!r}"
            piece = self._out.read(1)
            assert piece, f"it ended: {self.process.wait(WITHIN_S)}"
            line += piece
        return line.decode().rstrip("\n")

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.line())
        return found

    def interrupt(self) -> int:
        """What Ctrl-C does; returns the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(WITHIN_S)


@contextmanager
def observing(config: Path, *options: str) -> Iterator[Observing]:
    command = [sys.executable, "-m", "appliance", "observe", "--config", str(config), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            yield Observing(process)
        finally:
            process.kill()


def configured(tmp_path: Path, sources: str) -> Path:
    config = tmp_path / "appliance.yaml"
    config.write_text(CONFIG.format(sources=sources, untouched=tmp_path / "untouched"))
    return config


def test_changes_of_files_are_told_with_the_plan_and_nothing_is_written(tmp_path: Path) -> None:
    """Neither directory of a director is made; an interrupt ends it with 0."""
    services = tmp_path / "services"
    services.mkdir()
    (services / "web.yaml").write_text(WEB)
    with observing(configured(tmp_path, "{file: {path: services}}"), "--json") as subject:
        first = subject.json()
        assert first["source"] == "file"
        assert [each["change"] for each in first["state"]["changes"]] == ["added"]
        (services / "web.yaml").write_text(WEB.replace("10.1.0.1", "10.1.0.2"))
        second = subject.json()["state"]
        assert second["changes"][0]["what"] == "backend 10.1.0.1 gone, backend 10.1.0.2 new -> weight 1"
        (services / "web.yaml").write_text("services: [\n")
        assert "web.yaml" in subject.json()["error"]
        assert subject.interrupt() == 0
    assert not (tmp_path / "untouched").exists()


def test_the_plan_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "web.yaml").write_text(WEB)
    with observing(configured(tmp_path, "{file: {path: services}}")) as subject:
        assert subject.line().endswith(" file: 1 services on 1 VIPs, 1 changed")
        assert subject.line() == "  + tcp/10.50.0.1:80 web: rr, 1 of 1 ready"
        assert subject.line().startswith("  plan, from the ")
        assert subject.line() == "    add service tcp/10.50.0.1:80"
        assert subject.interrupt() == 0


def test_a_cluster_is_only_read(double_api: Api, double: Double, tmp_path: Path) -> None:
    """Also what a director would tell as Events stays untold."""
    double_api.create(service("web"))
    double_api.create(service("refused", vips=("192.0.2.1",)))
    set_backends(double_api, "10.1.0.1")
    made = len(double.state.requests)
    config = configured(tmp_path, f"{{kubernetes: {{kubeconfig: {double_api.kubeconfig()}}}}}")
    with observing(config, "--json") as subject:
        state = subject.json()["state"]
        assert [each["owner"] for each in state["changes"]] == [f"{double_api.namespace}/web"]
        assert len(state["refused"]) == 1
        asked = {request.verb for request in double.state.requests[made:]}
        assert asked <= {"discover", "list", "watch"}
        set_backends(double_api, "10.1.0.1", "10.1.0.2")
        changed = subject.json()["state"]
        assert changed["changes"][0]["what"] == "backend 10.1.0.2 new -> weight 1"
        assert subject.interrupt() == 0


def test_a_cluster_that_is_away_is_said_and_waited_for(double_api: Api, tmp_path: Path) -> None:
    config = configured(tmp_path, f"{{kubernetes: {{kubeconfig: {double_api.kubeconfig()}, max_retry_s: 1}}}}")
    double_api.create(service("web"))
    double_api.server.stop()
    with observing(config, "--json") as subject:
        assert "gives no answer" in subject.json()["error"]
        double_api.server.start()
        while (line := subject.json())["state"] is None:
            assert line["error"]
        assert len(line["state"]["changes"]) == 1
        assert subject.interrupt() == 0


def test_a_wrong_configuration_is_told_as_by_every_command(tmp_path: Path) -> None:
    config = configured(tmp_path, "{file: {path: services}, files: {}}")
    command = [sys.executable, "-m", "appliance", "observe", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 2
    assert "sources.files" in done.stderr
