"""Bringing BIRD to run our configuration: what failed is tried again, until BIRD itself has taken it over."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.bird.announce import Announcer
from appliance.errors import BirdRejected, BirdUnreachable
from tests.contract.bird.fake_bird import FakeBird
from tests.contract.bird.subject import RecordingControl, Subject, node_config


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="director-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def bird(folder: Path) -> Iterator[FakeBird]:
    """A BIRD that is not started yet."""
    (folder / "include").mkdir()
    made = FakeBird(folder)
    yield made
    made.stop()


def configured(control: RecordingControl) -> int:
    """How often BIRD was told to read its configuration again."""
    return sum(text.startswith("configure timeout") for text in control.said)


def test_a_file_written_while_bird_was_away_is_read_when_it_answers(folder: Path, bird: FakeBird) -> None:
    """Equal bytes on the disk do not say that BIRD knows them; the third call finds nothing to do."""
    config = node_config(folder)

    async def story() -> None:
        control = Subject(bird, config).control()
        subject = Announcer(config, control)
        with pytest.raises(BirdUnreachable):
            await subject.install()
        assert config.bird.config_path.exists()
        bird.start()
        await subject.install()
        assert configured(control) == 1
        await subject.install()
        assert configured(control) == 1
        control.close()

    asyncio.run(story())


def test_a_configuration_that_was_refused_is_offered_again(folder: Path, bird: FakeBird) -> None:
    config = node_config(folder)

    async def story() -> None:
        control = Subject(bird, config).control()
        subject = Announcer(config, control)
        bird.start()
        bird.answers["configure check"] = b"0002-Reading configuration from bird.conf\n8002 bird.conf:1:1 no\n"
        with pytest.raises(BirdRejected):
            await subject.install()
        assert not config.bird.config_path.exists()
        del bird.answers["configure check"]
        await subject.install()
        assert configured(control) == 1
        assert config.bird.config_path.exists()
        control.close()

    asyncio.run(story())


def test_a_configuration_of_the_operator_is_left_alone(folder: Path, bird: FakeBird) -> None:
    """With bgp.manage: include nothing is written and BIRD is not asked: it does not even run."""
    config = node_config(folder, manage="include")

    async def story() -> None:
        await Announcer(config, Subject(bird, config).control()).install()

    asyncio.run(story())
    assert not config.bird.config_path.exists()
