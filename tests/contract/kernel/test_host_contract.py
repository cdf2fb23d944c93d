"""Settings of a host: the fake, files in a folder, and inside the lab the running kernel keep the same promises."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.director.ports import Host
from appliance.host.kernel import HostKernel
from appliance.host.settings import HostSettings
from appliance.model.host import Change, Sysctl
from tests.contract.kernel.conftest import REAL
from tests.fakes.host import FakeHost

# Any two settings that a namespace has from its beginning, without IPVS.
TTL, ABSENT = "net/ipv4/ip_default_ttl", "net/ipv4/no_such_setting"
WANTED = (Sysctl(TTL, "63", "for the test"), Sysctl(ABSENT, "1", "for the test"))
BEFORE = "64"


@pytest.fixture(params=["fake", "real" if REAL else "folder"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "fake":
        yield FakeHost(WANTED, {TTL: BEFORE})
        return
    kernel = HostKernel()
    if request.param == "folder":
        (tmp_path / TTL).parent.mkdir(parents=True)
        (tmp_path / TTL).write_text(f"{BEFORE}\n")
        kernel = HostKernel(proc_sys=tmp_path)
    yield HostSettings(kernel, WANTED, tmp_path / "host-changes.json")


def test_what_differs_is_named_and_what_the_kernel_lacks_is_not(host: Host) -> None:
    assert host.differing() == (Change(TTL, BEFORE, "63"),)
    assert host.differing() == (Change(TTL, BEFORE, "63"),), "looking changes nothing"


def test_a_change_that_is_made_is_not_needed_again(host: Host) -> None:
    (wanted,) = host.differing()
    changed = host.change([wanted])
    assert (changed.made, dict(changed.refused), changed.unrecorded) == ((wanted,), {}, "")
    assert host.differing() == ()


def test_nothing_to_change_is_no_change(host: Host) -> None:
    changed = host.change([])
    assert (changed.made, dict(changed.refused)) == ((), {})


def test_a_change_that_is_refused_says_why_and_stops_no_other(host: Host) -> None:
    (good,) = host.differing()
    bad = Change(ABSENT, "0", "1")
    if isinstance(host, FakeHost):
        host.refusal = "Permission denied"
        changed = host.change([bad])
    else:
        changed = host.change([bad, good])
        assert changed.made == (good,)
    assert list(changed.refused) == [bad]
    assert changed.refused[bad]
