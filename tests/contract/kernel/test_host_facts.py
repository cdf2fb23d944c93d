"""What the preflight reads of a real kernel, compared with what was put there."""

import os
import socket
from pathlib import Path

from appliance.host import files
from appliance.host.files import HostFiles
from appliance.model.host import Listener


def test_a_listener_on_all_addresses_is_seen_and_one_on_a_single_address_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed, socket.create_server(("", 0)) as opened:
        found = HostFiles().listeners()
        assert Listener(4, opened.getsockname()[1]) in found
        assert Listener(4, closed.getsockname()[1]) not in found


def test_own_capabilities_are_read() -> None:
    assert HostFiles().capabilities() == HostFiles().capabilities(os.getpid())


def test_a_process_that_listens_on_a_unix_socket_is_found(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    assert files.listening_process(path) is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert files.listening_process(path) == os.getpid()


def test_the_running_kernel_has_a_version() -> None:
    assert files.kernel_version(os.uname().release, os.uname().version) > (2, 6, 0)
