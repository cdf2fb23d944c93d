"""Taking bird.conf over, on every real BIRD."""

import asyncio
import stat
from collections.abc import Iterator
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

# What a package ships: a BIRD that runs and does nothing.
SHIPPED = "router id 10.0.0.9;\nprotocol device {\n}\n"


@pytest.fixture(params=VERSIONS)
def fresh(folder: Path, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """A running BIRD with the configuration of its package."""
    bird = RealBird(bird_binaries()[request.param], folder)
    bird.conf.write_text(SHIPPED)
    bird.conf.chmod(0o600)
    bird.start()
    yield Subject(bird, node_config(folder))
    bird.stop()


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


def conf_of(subject: Subject) -> str:
    return subject.config.bird.config_path.read_text()


def test_bird_has_our_sessions_afterwards_and_the_second_time_nothing_is_done(fresh: Subject) -> None:
    assert install(fresh)
    assert conf_of(fresh) == render_config(fresh.config)
    assert sessions(fresh) == [("balanced_tor1", True)]
    before = fresh.config.bird.config_path.stat()
    assert not install(fresh)
    assert fresh.config.bird.config_path.stat() == before


def test_a_file_with_passwords_is_not_for_everybody_and_its_owner_is_kept(fresh: Subject) -> None:
    path = fresh.config.bird.config_path
    before = path.stat()
    install(fresh)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert (path.stat().st_uid, path.stat().st_gid) == (before.st_uid, before.st_gid)


def test_what_bird_refuses_is_rolled_back(fresh: Subject) -> None:
    include_dir = fresh.config.bird.include_dir
    include_dir.mkdir()
    (include_dir / "operator.conf").write_text("no configuration\n")
    with pytest.raises(BirdRejected) as caught:
        install(fresh)
    assert caught.value.code == 8002
    assert conf_of(fresh) == SHIPPED
    assert sessions(fresh) == [("balanced_tor1", False)]


def test_a_bird_that_reads_another_file_is_found_out(fresh: Subject) -> None:
    other = fresh.config.bird.config_path.with_name("other.conf")
    bird = fresh.config.bird.model_copy(update={"config_path": other})
    with pytest.raises(BirdError, match=r"no session balanced_tor1.*other\.conf"):
        install(fresh, fresh.config.model_copy(update={"bird": bird}))
    assert not other.exists()


def test_a_bird_that_is_down_reads_the_file_when_it_starts(fresh: Subject) -> None:
    fresh.bird.stop()
    with pytest.raises(BirdUnreachable):
        install(fresh)
    fresh.bird.start()
    assert sessions(fresh) == [("balanced_tor1", True)]
