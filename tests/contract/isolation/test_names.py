"""Names of network namespaces, made in the real kernel: whole, once, seen by others. Run as root."""

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import KernelError
from appliance.isolation.namespace import Namespace, make_if_missing

OWN = Path("/proc/thread-self/ns/net")
WITHOUT_PRIVILEGE = """
import pathlib, sys
from appliance.errors import KernelError
from appliance.isolation.namespace import make_if_missing
try:
    make_if_missing("lvs", pathlib.Path(sys.argv[1]))
except KernelError as error:
    print(error)
"""


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Path]:
    """A folder for names, not made yet; what is mounted there goes with it."""
    names = tmp_path / "netns"
    yield names
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for each in reversed([mount for mount in mounts if mount.startswith(str(names))]):
        subprocess.run(["umount", each], check=True)


def network(path: Path) -> int:
    """What tells one network namespace from another (namespaces(7))."""
    return path.stat().st_ino


def test_a_name_leads_to_a_new_network_and_stays_when_its_maker_is_gone(names: Path) -> None:
    assert make_if_missing("lvs", names)
    with Namespace(names / "lvs") as namespace:
        assert namespace.run(network, OWN) == network(names / "lvs")
    assert network(names / "lvs") != network(OWN)


def test_a_name_that_stands_is_left_as_it_is(names: Path) -> None:
    assert make_if_missing("lvs", names)
    before = network(names / "lvs")
    assert not make_if_missing("lvs", names)
    assert network(names / "lvs") == before


def test_a_second_name_leads_elsewhere(names: Path) -> None:
    assert make_if_missing("lvs", names)
    assert make_if_missing("other", names)
    assert network(names / "lvs") != network(names / "other")


def test_other_mount_namespaces_see_the_name(names: Path) -> None:
    assert make_if_missing("lvs", names)
    fields = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    optional = {mount[4]: mount[6] for mount in fields}
    assert optional[str(names)].startswith("shared:")
    assert optional[str(names / "lvs")].startswith("shared:")


def test_a_file_without_its_namespace_is_completed(names: Path) -> None:
    names.mkdir()
    (names / "lvs").touch(mode=0)
    assert make_if_missing("lvs", names)
    with Namespace(names / "lvs") as namespace:
        assert namespace.run(network, OWN) == network(names / "lvs")


def test_a_file_that_is_something_else_is_left_alone(names: Path) -> None:
    names.mkdir()
    (names / "lvs").write_text("notes")
    assert not make_if_missing("lvs", names)
    with pytest.raises(KernelError, match="remove the file, then ip netns add lvs") as raised:
        Namespace(names / "lvs")
    assert raised.value.errno == errno.EINVAL


def test_without_the_privilege_the_error_says_what_to_do_and_no_file_is_left(names: Path) -> None:
    names.mkdir()
    command = ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", WITHOUT_PRIVILEGE, str(names)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]).stdout
    assert "make network namespace lvs: EPERM (run it as root; under systemd, install what balanced units" in said
    assert not list(names.iterdir())
