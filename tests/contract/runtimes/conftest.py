"""The runtimes that one suite runs against: the fake, and containerd with runc."""

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.runtimes.containerd import Containerd, Sandbox
from tests.fakes.cri import FakeCri


@dataclass
class FakeNode:
    """The fake, with a real process for each container."""

    fake: FakeCri
    socket: Path
    processes: dict[str, "subprocess.Popen[bytes]"]

    def run_pod(self, name: str) -> Sandbox:
        return Sandbox(name, {}, self.run_container(name, {}, 0))

    def run_container(self, sandbox: str, config: object, attempt: int) -> str:  # noqa: ARG002 - those of the real one
        name = f"{sum(sandbox.encode()) * 100 + attempt:064x}"
        self.processes[name] = subprocess.Popen(["unshare", "--net", "sleep", "3600"])
        self.fake.pids[name] = self.processes[name].pid
        return name

    def stop_container(self, container: str) -> None:
        self.processes[container].kill()
        self.processes[container].wait()
        self.fake.pids[container] = 0

    def start(self) -> None:
        self.fake.start()

    def stop(self) -> None:
        self.fake.stop()


@pytest.fixture(scope="session")
def containerd() -> Iterator[Containerd]:
    """The real one takes seconds to start: tests share it."""
    with Containerd() as running:
        yield running


@pytest.fixture
def fake_node() -> Iterator[FakeNode]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cri.sock"
        with FakeCri(path) as fake:
            node = FakeNode(fake, path, {})
            yield node
            for process in node.processes.values():
                process.kill()
                process.wait()


@pytest.fixture(params=["fake", "containerd"])
def node(request: pytest.FixtureRequest) -> Containerd | FakeNode:
    """Each of them in turn."""
    made: Containerd | FakeNode = request.getfixturevalue("fake_node" if request.param == "fake" else "containerd")
    return made
