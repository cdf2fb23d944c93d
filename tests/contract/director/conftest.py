"""What the tests of sockets, locks and files on this host share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, with a path short enough for a socket, which pytest's own need not have."""
    path = Path(tempfile.mkdtemp(prefix="director-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
