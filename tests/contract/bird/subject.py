"""A BIRD under test, fake or real, with the node that uses it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.bird.control import BirdControl, Command
from appliance.bird.replies import Reply
from appliance.config.schema import Config
from tests.contract.bird.fake_bird import FakeBird
from tests.contract.bird.real_bird import RealBird, at_ports, free_port
from tests.lab.birds import bird_binaries

VERSIONS = ("2.0", "2.17", "3.1")
NODE, PEER = "127.0.0.11", "127.0.0.12"
NODE_AS, PEER_AS = 64512, 64500


class RecordingControl(BirdControl):
    """The real client; it also remembers what it was told to say."""

    def __init__(self, socket_path: Path, timeout_s: float) -> None:
        super().__init__(socket_path, timeout_s)
        self.said: list[str] = []

    async def ask(self, command: Command, **options: Any) -> Reply:
        """As BirdControl.ask."""
        self.said.append(command.text)
        return await super().ask(command, **options)


@dataclass
class Subject:
    """A BIRD under test, and the configuration of a node that uses it."""

    bird: FakeBird | RealBird
    config: Config
    said: list[str] = field(default_factory=list)

    @property
    def include(self) -> Path:
        """The file that announces VIPs."""
        return self.config.bird.include_dir / "balanced-vips.conf"

    @property
    def preference(self) -> Path:
        """The file that marks VIPs."""
        return self.config.bird.include_dir / "balanced-preference.conf"

    def control(self) -> RecordingControl:
        """A client of its own; to be made in the loop that uses it."""
        return RecordingControl(self.config.bird.control_socket, self.config.bird.timeout_s)


def node_config(folder: Path, *, manage: str = "full", peer_as: int = PEER_AS, **bird: Any) -> Config:
    """A node with one router, everything of it in ``folder``."""
    return Config.model_validate(
        {
            "node": {"name": "lb1", "router_id": "10.0.0.11"},
            "pools": [{"name": "public", "cidrs": ["10.50.0.0/24", "2001:db8:50::/64"]}],
            "sources": {"file": {"path": "services"}},
            "bgp": {
                "local_as": NODE_AS,
                "manage": manage,
                "med": 100,
                "communities": ["64512:100", "64512:1:2"],
                "peers": [
                    {
                        "name": "tor1",
                        "address": PEER,
                        "as": peer_as,
                        "families": ["ipv4", "ipv6"],
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


def make(kind: str, folder: Path, *, peer_as: int = PEER_AS) -> Subject:
    """The BIRD of this kind, not started yet; a real one has our configuration and a router that does not answer."""
    config = node_config(folder, peer_as=peer_as)
    (folder / "include").mkdir()
    if kind == "fake":
        return Subject(FakeBird(folder), config)
    bird = RealBird(bird_binaries()[kind], folder)
    bird.conf.write_text(at_ports(config, free_port(NODE), free_port(PEER)))
    return Subject(bird, config)


ROUTER = """log stderr all;
router id 10.0.0.1;
protocol device {{
}}
protocol bgp node {{
  strict bind yes;
  local {peer} port {peer_port} as {peer_as};
  neighbor {node} port {port} as {node_as};
  multihop 1;
  connect delay time 1;
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
"""


def make_router(version: str, subject: Subject, folder: Path, *, peer_as: int = PEER_AS) -> RealBird:
    """The router of the subject, not started yet; the subject's configuration is written anew to meet it."""
    assert isinstance(subject.bird, RealBird)
    folder.mkdir()
    router = RealBird(bird_binaries()[version], folder)
    port, peer_port = free_port(NODE), free_port(PEER)
    subject.bird.conf.write_text(at_ports(subject.config, port, peer_port))
    ends = {"node": NODE, "port": port, "node_as": NODE_AS, "peer": PEER, "peer_port": peer_port, "peer_as": peer_as}
    router.conf.write_text(ROUTER.format(**ends))
    return router
