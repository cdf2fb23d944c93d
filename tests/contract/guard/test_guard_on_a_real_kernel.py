"""What only a real kernel shows of the guard: any history of guards, other hands, missing rights."""

import errno
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.errors import KernelError
from appliance.guard.kernel import GuardKernel
from appliance.model.address import canonical_networks
from appliance.model.guard import FlowLimit, Guard, GuardRule, ObservedGuard, Refusal
from appliance.model.service import Protocol, ServiceKey
from appliance.netlink.transport import Answer
from tests.contract.guard.samples import NARROW, WIDE
from tests.netns import Namespace

PROGRAM = """
import sys
from appliance.errors import KernelError
from appliance.guard.kernel import GuardKernel
try:
    GuardKernel().read()
except KernelError as error:
    print(error)
"""

vips = st.sampled_from([ip_address(text) for text in ("10.50.0.1", "10.50.0.2", "2001:db8::1", "2001:db8::2")])
keys = st.builds(ServiceKey, vips, st.sampled_from(Protocol), st.integers(80, 83))
nets4 = st.integers(0, 15).flatmap(
    lambda at: st.integers(24, 32).map(lambda length: ip_network((0xC0000200 + at * 128, length), strict=False))
)
nets6 = st.integers(0, 15).flatmap(
    lambda at: st.integers(44, 52).map(lambda length: ip_network((0x20010DB8 << 96 | at << 78, length), strict=False))
)


@st.composite
def rules(draw: st.DrawFn) -> GuardRule:
    key = draw(keys)
    own = nets4 if key.vip.version == 4 else nets6
    sources = draw(st.none() | st.lists(own, min_size=1, max_size=4).map(canonical_networks))
    firsts = st.just(key) | st.just(replace(key, port=80))
    limit = draw(st.none() | st.builds(FlowLimit, firsts, st.sampled_from([1, 2, 10_000_000])))
    return GuardRule(key, sources, limit)


guards = st.builds(
    lambda pools, own, known, let, refusal: Guard(canonical_networks(pools), own, known, frozenset(let), refusal),
    st.lists(nets4 | nets6, max_size=4),
    st.frozensets(vips, max_size=2),
    st.frozensets(vips),
    st.lists(rules(), unique_by=lambda rule: rule.key, max_size=6),
    st.sampled_from(Refusal),
)


# The kernel of one test is right for all its examples: what one of them leaves is where the next begins.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(guards, min_size=1, max_size=4), same_policy=st.booleans())
def test_i4_any_guard_becomes_any_other(kernel: GuardKernel, history: list[Guard], *, same_policy: bool) -> None:
    """With one policy the changes are elements; otherwise they are tables."""
    frame = history[0]
    for guard in history:
        if same_policy:
            guard = replace(guard, pools=frame.pools, own=frame.own, refusal=frame.refusal)  # noqa: PLW2901 - adapted
        kernel.apply(guard)
        assert kernel.read() == ObservedGuard(guard, intact=True)
        assert kernel.read(whole=True) == ObservedGuard(guard, intact=True)


def test_a_change_of_somebody_elses_table_is_no_drift(kernel: GuardKernel, namespace: Namespace) -> None:
    kernel.apply(NARROW)
    namespace.run("nft", "add table inet theirs")
    assert kernel.read() == ObservedGuard(NARROW, intact=True)
    kernel.apply(WIDE)
    assert kernel.read() == ObservedGuard(WIDE, intact=True)


@pytest.mark.parametrize(
    "command",
    [
        "flush ruleset",
        "delete table inet balanced",
        "flush set inet balanced open4",
        "flush chain inet balanced input",
        "insert rule inet balanced vip4 accept",
        "add rule inet balanced output accept",
        "add chain inet balanced theirs",
        "add table inet balanced { flags dormant; }",
        "add element inet balanced ranged4 { 10.50.0.1 . 6 . 22 . 0.0.0.0/0 }",
        "add element inet balanced own4 { 10.50.0.1 }",
        "delete element inet balanced limits4 { 10.50.0.2 . 6 . 80 }",
        "add set inet balanced theirs { type ipv4_addr; }",
    ],
)
def test_i1_whatever_somebody_else_does_to_the_table_is_seen_and_undone(
    kernel: GuardKernel, namespace: Namespace, command: str
) -> None:
    kernel.apply(WIDE)
    namespace.run("nft", command)
    assert kernel.read() != ObservedGuard(WIDE, intact=True)
    kernel.apply(WIDE)
    assert kernel.read(whole=True) == ObservedGuard(WIDE, intact=True)


def test_i7_a_new_process_takes_over_what_stands(kernel: GuardKernel, namespace: Namespace) -> None:
    """Table and counts are those of before, and nothing is left of how it learnt what they should look like."""
    kernel.apply(NARROW)
    with namespace.entered(), GuardKernel() as later:
        assert later.read() == ObservedGuard(NARROW, intact=False)
        before = namespace.run("nft", "-j", "list", "ruleset")
        later.apply(NARROW)
        assert namespace.run("nft", "-j", "list", "ruleset") == before
        later.apply(WIDE)
        assert later.read() == later.read(whole=True) == ObservedGuard(WIDE, intact=True)
    assert kernel.read() == ObservedGuard(WIDE, intact=True)


def test_what_a_killed_process_left_of_its_learning_is_cleared_away(kernel: GuardKernel, namespace: Namespace) -> None:
    namespace.run("nft", "add table inet balanced_reference { flags dormant; chain old { }; }")
    kernel.apply(NARROW)
    assert namespace.run("nft", "list", "tables") == "table inet balanced\n"
    assert kernel.read() == ObservedGuard(NARROW, intact=True)


def test_a_new_process_does_not_trust_rules_that_were_changed_before_it(
    kernel: GuardKernel, namespace: Namespace
) -> None:
    kernel.apply(NARROW)
    namespace.run("nft", "insert rule inet balanced vip4 accept")
    with namespace.entered(), GuardKernel() as later:
        later.apply(NARROW)
        assert "accept\n\t\tip daddr . meta" not in namespace.run("nft", "list", "table", "inet", "balanced")
        assert later.read() == ObservedGuard(NARROW, intact=True)


def test_a_reading_costs_one_question_while_no_ruleset_changes(
    kernel: GuardKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.apply(WIDE)
    kernel.read()
    monkeypatch.setattr(kernel, "_listing", pytest.fail)
    kernel.apply(NARROW)
    assert kernel.read() == ObservedGuard(NARROW, intact=True)


def test_a_refused_change_changes_nothing_and_says_what_the_library_said(kernel: GuardKernel) -> None:
    kernel.apply(NARROW)
    with pytest.raises(KernelError, match="No such file or directory") as caught:
        kernel._library.run(
            "change", "table", "add element inet balanced open4 { 1.1.1.1 . 6 . 1 }\ndelete table inet no"
        )
    assert (caught.value.op, caught.value.errno) == ("change", errno.EINVAL)
    assert kernel.read(whole=True) == ObservedGuard(NARROW, intact=True)


def test_without_the_right_to_it_the_error_says_which(namespace: Namespace) -> None:
    drop = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    with namespace.entered():
        said = subprocess.run(
            [*drop, sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=20, check=True
        )
    expected = "read nftables table inet balanced: EPERM (run it as root or give it CAP_NET_ADMIN)"
    assert said.stdout.strip() == expected


def test_without_nf_tables_the_error_says_what_to_do(kernel: GuardKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel answers EINVAL for a subsystem that it does not have (nfnetlink_rcv_msg)."""
    monkeypatch.setattr(kernel._netlink, "transact", lambda _: (Answer(errno.EINVAL),))
    with pytest.raises(KernelError, match="this kernel has no nf_tables"):
        kernel.read()


def test_a_change_costs_what_it_changes_whatever_stands(kernel: GuardKernel) -> None:
    """Not by the clock: the text that is sent for one service more is three lines."""
    many = [ip_address(0x0A320000 + number) for number in range(2000)]
    sent: list[int] = []
    run = kernel._library.run
    everyone = frozenset(GuardRule(ServiceKey(vip, Protocol.TCP, port)) for vip in many for port in (80, 443))
    large = Guard((ip_network("10.50.0.0/16"),), vips=frozenset(many), rules=everyone)
    kernel.apply(large)
    kernel.read()

    def counting(op: str, what: str, text: str, flags: int = 0) -> bytes:
        sent.append(len(text))
        return run(op, what, text, flags)

    kernel._library.run = counting  # type: ignore[method-assign]
    more = GuardRule(ServiceKey(many[0], Protocol.UDP, 53))
    kernel.apply(replace(large, rules=large.rules | {more}))
    assert len(sent) == 1
    assert sent[0] < 200
    assert kernel.read().guard == replace(large, rules=large.rules | {more})
