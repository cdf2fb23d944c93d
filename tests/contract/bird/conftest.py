"""The BIRDs that one suite runs against: a fake one and every version that is supported."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.bird.real_bird import RealBird
from tests.contract.bird.subject import VERSIONS, Subject, make, make_router


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket, which pytest's own need not be."""
    path = Path(tempfile.mkdtemp(prefix="bird-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["fake", *VERSIONS])
def subject(folder: Path, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The fake BIRD and every real one, running."""
    made = make(request.param, folder)
    made.bird.start()
    yield made
    made.bird.stop()


@pytest.fixture
def fake(folder: Path) -> Iterator[Subject]:
    """The fake BIRD, running."""
    made = make("fake", folder)
    made.bird.start()
    yield made
    made.bird.stop()


@pytest.fixture(params=VERSIONS)
def pair(folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Subject, RealBird]]:
    """A real BIRD with our own configuration, and its router: one more of the same version. Both run."""
    made = make(request.param, folder)
    router = make_router(request.param, made, folder / "router")
    router.start()
    made.bird.start()
    yield made, router
    made.bird.stop()
    router.stop()
