"""The guard as a configuration has it: tried before anything relies on it, or gone without a trace."""

import pytest

from appliance.errors import KernelError
from appliance.guard import library
from appliance.guard.kernel import GuardKernel
from appliance.guard.standing import guard_of
from tests.contract.guard.samples import NARROW
from tests.netns import Namespace


def make(namespace: Namespace) -> GuardKernel:
    with namespace.entered():
        return GuardKernel()


def test_an_enabled_guard_is_ready_to_be_used(namespace: Namespace) -> None:
    guard = guard_of(lambda: make(namespace), enabled=True)
    assert guard is not None
    with guard:
        guard.apply(NARROW)
        assert guard.read().intact


def test_i5_a_disabled_guard_takes_its_table_away_and_no_other(namespace: Namespace, kernel: GuardKernel) -> None:
    namespace.run("nft", "add table inet theirs; add table ip balanced; add table inet balanced2")
    kernel.apply(NARROW)
    assert guard_of(lambda: make(namespace), enabled=False) is None
    assert namespace.run("nft", "list", "tables").splitlines() == [
        "table inet theirs",
        "table ip balanced",
        "table inet balanced2",
    ]
    assert guard_of(lambda: make(namespace), enabled=False) is None


@pytest.mark.parametrize("rule", ["add set inet balanced mine { type mark; }", "add chain inet balanced mine"])
def test_a_disabled_guard_takes_its_table_away_also_where_somebody_changed_it(
    namespace: Namespace, kernel: GuardKernel, rule: str
) -> None:
    kernel.apply(NARROW)
    namespace.run("nft", rule)
    assert guard_of(lambda: make(namespace), enabled=False) is None
    assert not namespace.run("nft", "list", "tables")


def test_without_the_library_an_enabled_guard_names_what_to_do_and_a_disabled_one_is_none(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_NAME", "libnone.so.1")
    with pytest.raises(
        KernelError, match=r"libnone.*apt-get install libnftables1; modprobe nf_tables; or set guard\.enabled"
    ):
        guard_of(lambda: make(namespace), enabled=True)
    assert guard_of(lambda: make(namespace), enabled=False) is None
