"""What preparing a host changes, loads, remembers and says when it cannot."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import KernelError
from appliance.host import history
from appliance.host.kernel import HostKernel
from appliance.host.prepare import IPVS_SYSCTLS, changes, remember, uplink_sysctls, wanted_modules
from appliance.host.settings import HostSettings
from appliance.model.host import Change, Module, Sysctl

CONNTRACK = Sysctl("net/ipv4/vs/conntrack", "0", "for the test")
SLOPPY = Sysctl("net/ipv4/vs/sloppy_tcp", "1", "for the test")


def test_only_what_differs_is_changed_and_what_the_kernel_lacks_is_passed_over() -> None:
    current = {"net/ipv4/vs/conntrack": "1"}
    assert changes([CONNTRACK, SLOPPY], current) == (Change("net/ipv4/vs/conntrack", "1", "0"),)
    assert changes([CONNTRACK], {"net/ipv4/vs/conntrack": "0"}) == ()


def test_a_value_that_is_as_good_is_left_alone() -> None:
    either = Sysctl("kernel/x", "2", "for the test", also_good=("0",))
    assert changes([either], {"kernel/x": "0"}) == ()
    assert changes([either], {"kernel/x": "1"}) == (Change("kernel/x", "1", "2"),)


def test_every_setting_is_named_once_with_its_reason() -> None:
    everything = [*IPVS_SYSCTLS, *uplink_sysctls(["eth0", "eth1.100"])]
    assert len({sysctl.key for sysctl in everything}) == len(everything)
    assert all(sysctl.reason for sysctl in everything)
    assert everything[-1].key == "net/ipv4/conf/eth1.100/rp_filter"


def test_modules_are_loaded_in_an_order_that_works() -> None:
    assert wanted_modules({"rr", "mh"}, ipv6=True) == ("ip_vs", "ip_vs_mh", "ip_vs_rr", "ipip", "ip6_tunnel", "dummy")
    assert wanted_modules(["mh"], ipv6=False) == ("ip_vs", "ip_vs_mh", "ipip", "dummy")


def test_of_several_changes_the_first_old_and_the_last_new_value_are_remembered() -> None:
    known = (Change("a", "1", "0"), Change("b", "7", "8"))
    assert remember(known, [Change("a", "5", "2"), Change("c", "x", "y")]) == (
        Change("a", "1", "2"),
        Change("b", "7", "8"),
        Change("c", "x", "y"),
    )
    assert str(known[0]) == "a: 1 -> 0"


def host(root: Path, *, load: Callable[[str], int], capabilities: int = 1 << 16) -> HostKernel:
    """A host in a folder: two settings, ip_vs_rr loaded, ipip built in."""
    settings = root / "sys/net/ipv4/vs"
    settings.mkdir(parents=True)
    (settings / "conntrack").write_text("1\n")
    (settings / "sloppy_tcp").write_text("1\n")
    (root / "module/ip_vs_rr").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "lib/modules.builtin").write_text("kernel/net/ipv4/ipip.ko\nkernel/drivers/net/x-y.ko\n")
    (root / "status").write_text(f"Name:\tpython\nCapEff:\t{capabilities:016x}\n")
    return HostKernel(root / "sys", root / "module", root / "status", root / "lib", load)


def test_what_is_missing_is_loaded(tmp_path: Path) -> None:
    asked: list[str] = []

    def load(name: str) -> int:
        asked.append(name)
        return 0

    done = host(tmp_path, load=load).load_modules(["ip_vs", "ip_vs_rr", "ipip", "x_y"])
    assert asked == ["ip_vs"] == list(done.loaded)
    assert done.problems == ()


def test_what_a_kernel_has_of_a_module_is_told(tmp_path: Path) -> None:
    """Loaded, or built in; on disk, where depmod spells it with dashes and packs it; neither."""
    here = host(tmp_path, load=lambda _: 0)
    (tmp_path / "lib/modules.dep").write_text("kernel/net/ip-vs-mh.ko.xz: kernel/net/ip_vs.ko.xz\n")
    found = {name: here.module(name) for name in ("ip_vs_rr", "ipip", "ip_vs_mh", "ip_vs")}
    assert found == {
        "ip_vs_rr": Module.LOADED,
        "ipip": Module.LOADED,
        "ip_vs_mh": Module.ON_DISK,
        "ip_vs": Module.ABSENT,
    }


@pytest.mark.parametrize(
    ("capabilities", "with_modules", "remedy"),
    [
        pytest.param(0, 1, "CAP_SYS_MODULE", id="in a container"),
        pytest.param(1 << 16, 0, "no modules of the running kernel", id="kernel updated, not rebooted"),
        pytest.param(1 << 16, 1, "modprobe ip_vs says why", id="no such module"),
    ],
)
def test_without_ipvs_the_error_names_the_remedy(
    tmp_path: Path, capabilities: int, with_modules: int, remedy: str
) -> None:
    here = host(tmp_path, load=lambda _: 1, capabilities=capabilities)
    if not with_modules:
        (tmp_path / "lib/modules.builtin").unlink()
        (tmp_path / "lib").rmdir()
    with pytest.raises(KernelError, match=remedy):
        here.load_modules(["ip_vs"])


def test_without_modprobe_the_error_names_the_package(tmp_path: Path) -> None:
    def load(_name: str) -> int:
        raise FileNotFoundError(errno.ENOENT, "no such file")

    with pytest.raises(KernelError, match="apt-get install kmod"):
        host(tmp_path, load=load).load_modules(["ip_vs"])


def test_a_scheduler_that_cannot_be_had_is_a_problem_and_the_rest_goes_on(tmp_path: Path) -> None:
    done = host(tmp_path, load=lambda name: int(name == "ip_vs_mh")).load_modules(["ip_vs", "ip_vs_mh", "dummy"])
    assert done.loaded == ("ip_vs", "dummy")
    assert [problem.where for problem in done.problems] == ["kernel module ip_vs_mh"]


def settings(root: Path, *wanted: Sysctl) -> HostSettings:
    return HostSettings(host(root, load=lambda _: 0), wanted, root / "host-changes.json")


def test_what_was_changed_is_kept_with_the_value_of_before(tmp_path: Path) -> None:
    here = settings(tmp_path, CONNTRACK, SLOPPY)
    changed = here.change(here.differing())
    assert (changed.made, changed.unrecorded) == ((Change(CONNTRACK.key, "1", "0"),), "")
    assert history.load(tmp_path / "host-changes.json") == changed.made


def test_a_record_that_cannot_be_written_is_told_and_the_change_stands(tmp_path: Path) -> None:
    here = HostSettings(host(tmp_path, load=lambda _: 0), [CONNTRACK], tmp_path / "gone/host-changes.json")
    assert "No such file" in here.change(here.differing()).unrecorded
    assert here.differing() == ()


def test_changes_are_kept_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "host-changes.json"
    assert history.load(path) == ()
    history.save(path, (Change("a", "1", "0"),))
    assert history.load(path) == (Change("a", "1", "0"),)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version":9,"changes":[]}', '{"version":1,"changes":[{"key":1}]}'])
def test_a_file_that_is_not_ours_to_read_is_set_aside(tmp_path: Path, text: str) -> None:
    path = tmp_path / "host-changes.json"
    path.write_text(text)
    assert history.load(path) == ()
    assert not path.exists()
    assert (tmp_path / "host-changes.json.bad").read_text() == text
