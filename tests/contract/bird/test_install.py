"""Taking bird.conf over, on every real BIRD."""

import asyncio
import stat
from contextlib import closing
from pathlib import Path

import pytest

from appliance.bird.install import install_config
from appliance.bird.observe import observe
from appliance.bird.render import render_config
from appliance.config.schema import Config
from appliance.errors import BirdError, BirdRejected, BirdUnreachable
from tests.contract.bird.real_bird import RealBird
from tests.contract.bird.subject import VERSIONS, Subject, node_config
from tests.lab.birds import bird_binaries

# What a package ships: a BIRD that runs and does nothing. The port keeps it away from the machine's own BIRD.
SHIPPED = "router id 10.0.0.9;\nprotocol device {\n}\n"


@pytest.fixture(params=VERSIONS)
def fresh(folder: Path, request: pytest.FixtureRequest) -> Subject:
    """A BIRD with the configuration of its package, not started yet."""
    bird = RealBird(bird_binaries()[request.param], folder)
    bird.conf.write_text(SHIPPED)
    bird.conf.chmod(0o640)
    return Subject(bird, node_config(folder))


def install(subject: Subject, config: Config | None = None) -> bool:
    async def work() -> bool:
        with closing(subject.control()) as control:
            return await install_config(config or subject.config, control)

    return asyncio.run(work())


def sessions(subject: Subject) -> list[tuple[str, bool]]:
    async def work() -> list[tuple[str, bool]]:
        with closing(subject.control()) as control:
            return [(peer.name, peer.state != "absent") for peer in (await observe(control, subject.config)).peers]

    return asyncio.run(work())


@pytest.fixture
def running(fresh: Subject) -> Subject:
    fresh.bird.start()
    return fresh
