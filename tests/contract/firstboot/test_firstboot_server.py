"""A configuration from a server, by cloud-init's two files."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ConfigError, SourceError
from appliance.firstboot.media import fetched, server


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that says nothing of who asks."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The server's address of a node's folder, which is ``tmp_path/lb1``."""
    (tmp_path / "lb1").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/lb1"
        listening.shutdown()
        thread.join()


def test_what_the_command_line_names_is_fetched(address: str, tmp_path: Path) -> None:
    (tmp_path / "lb1/user-data").write_text("#cloud-config\nwrite_files: [{path: appliance.yaml, content: a}]")
    (tmp_path / "lb1/meta-data").write_text("instance-id: lb1\nlocal-hostname: lb1\n")
    url = server(f"quiet ds=nocloud;s={address}")
    assert url is not None

    found = fetched(url)

    assert found.place == address
    assert {str(path): content for path, content in found.files.items()} == {
        "hostname": b"lb1\n",
        "appliance.yaml": b"a",
    }


def test_a_server_that_has_nothing_for_this_node_is_asked_again(address: str) -> None:
    """It is no mistake of the configuration: the unit's exit status says so."""
    with pytest.raises(SourceError, match=r"/lb1/user-data: HTTP Error 404"):
        fetched(f"{address}/")


def test_a_server_that_is_not_there_is_asked_again() -> None:
    with pytest.raises(SourceError, match="Connection refused"):
        fetched("http://127.0.0.1:1/lb1/")


def test_what_it_says_wrong_is_refused(address: str, tmp_path: Path) -> None:
    (tmp_path / "lb1/user-data").write_text("<html>")
    (tmp_path / "lb1/meta-data").write_text("")
    with pytest.raises(ConfigError, match="user-data:1: is not #cloud-config"):
        fetched(f"{address}/")
