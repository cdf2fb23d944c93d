"""The BIRDs that one suite runs against: a fake one and every version that is supported."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.bird.control import BirdControl, Command
from appliance.bird.replies import Reply
from appliance.config.schema import Config
from tests.contract.bird.fake_bird import FakeBird
from tests.contract.bird.real_bird import RealBird, at_ports, free_port
from tests.lab.birds import bird_binaries

VERSIONS = ("2.0", "2.17", "3.1")
NODE, PEER = "127.0.0.11", "127.0.0.12"


class RecordingControl(BirdControl):
    """The real client; it also remembers what it was told to say."""

    said: list[str]

    async def ask(self, command: Command, **options: Any) -> Reply:
        """As BirdControl.ask."""
        self.said = [*getattr(self, "said", []), command.text]
        return await super().ask(command, **options)


@dataclass
class Subject:
    """A BIRD under test, and the configuration of a node that uses it."""

    bird: FakeBird | RealBird
    config: Config

    @property
    def include(self) -> Path:
        """The file that announces VIPs."""
        return self.config.bird.include_dir / "balanced-vips.conf"

    def control(self) -> RecordingControl:
        """A client of its own; to be made in the loop that uses it."""
        return RecordingControl(self.config.bird.control_socket, self.config.bird.timeout_s)


def node_config(folder: Path, *, manage: str = "full", **bird: Any) -> Config:
    """A node with one router, everything of it in ``folder``."""
    return Config.model_validate(
        {
            "node": {"name": "lb1", "router_id": "10.0.0.11"},
            "pools": [{"name": "public", "cidrs": ["10.50.0.0/24", "2001:db8:50::/64"]}],
            "sources": {"file": {"path": "services"}},
            "bgp": {
                "local_as": 64512,
                "manage": manage,
                "med": 100,
                "communities": ["64512:100", "64512:1:2"],
                "peers": [
                    {
                        "name": "tor1",
                        "address": PEER,
                        "as": 64500,
                        "source_address": NODE,
                        "multihop": 1,
                        "bfd": False,
                        "hold_time_s": 9,
                    }
                ],
            },
            "bird": {
                "control_socket": str(folder / "bird.ctl"),
                "config_path": str(folder / "bird.conf"),
                "include_dir": str(folder / "include"),
                "timeout_s": 1.0,
                "confirm_timeout_s": 4,
                **bird,
            },
        }
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket, which pytest's own need not be."""
    path = Path(tempfile.mkdtemp(prefix="bird-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def fake(folder: Path) -> Iterator[Subject]:
    """The fake BIRD."""
    (folder / "include").mkdir()
    bird = FakeBird(folder)
    bird.start()
    yield Subject(bird, node_config(folder))
    bird.stop()


@pytest.fixture(params=VERSIONS)
def real(folder: Path, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """A real BIRD with our own configuration, whose one router does not answer."""
    config = node_config(folder)
    bird = RealBird(bird_binaries()[request.param], folder)
    bird.include_dir.mkdir()
    bird.conf.write_text(at_ports(config, free_port(NODE), free_port(PEER)))
    bird.start()
    yield Subject(bird, config)
    bird.stop()


@pytest.fixture(params=["fake", *VERSIONS])
def subject(folder: Path, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The fake BIRD and every real one."""
    config = node_config(folder)
    (folder / "include").mkdir()
    bird: FakeBird | RealBird
    if request.param == "fake":
        bird = FakeBird(folder)
    else:
        bird = RealBird(bird_binaries()[request.param], folder)
        bird.conf.write_text(at_ports(config, free_port(NODE), free_port(PEER)))
    bird.start()
    yield Subject(bird, config)
    bird.stop()


@pytest.fixture(params=VERSIONS)
def pair(folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Subject, RealBird]]:
    """A real BIRD with our own configuration, and its router: one more of the same version."""
    config = node_config(folder)
    install = bird_binaries()[request.param]
    port, peer_port = free_port(NODE), free_port(PEER)
    (folder / "router").mkdir()
    bird, router = RealBird(install, folder), RealBird(install, folder / "router")
    bird.include_dir.mkdir()
    bird.conf.write_text(at_ports(config, port, peer_port))
    router.conf.write_text(
        f"""log stderr all;
router id 10.0.0.1;
protocol device {{
}}
protocol bgp node {{
  strict bind yes;
  local {PEER} port {peer_port} as 64500;
  neighbor {NODE} port {port} as 64512;
  multihop 1;
  connect delay time 1;
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
"""
    )
    router.start()
    bird.start()
    yield Subject(bird, config), router
    bird.stop()
    router.stop()
