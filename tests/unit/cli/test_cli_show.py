"""The status as an operator reads it, at every width that a terminal is likely to have."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cli.show import ago, show_status
from appliance.director.status import PeerStatus, Status, VipStatus

GOLDEN = Path(__file__).parent / "golden"


def vip(
    address: str = "10.50.0.1",
    state: str = "announced",
    *,
    services: tuple[str, ...] = ("tcp/80", "tcp/443"),
    ready: int = 3,
    backends: int = 3,
    kernel: str = "proven",
    to: tuple[str, ...] = ("balanced_tor1", "balanced_tor2"),
    for_s: float = 725.0,
    reason: str = "read back from the kernel",
) -> VipStatus:
    return VipStatus(
        vip=address,
        state=state,
        reason=reason,
        for_s=for_s,
        kernel=kernel,
        services=services,
        owners=("default/web",),
        backends_ready=ready,
        backends=backends,
        announced_to=to,
        flaps=0,
        recent_repairs=0,
    )


def node(
    *vips: VipStatus,
    conditions: dict[str, str] | None = None,
    problems: tuple[str, ...] = (),
    waiting_for: str = "",
    bird: str = "2.17.1",
) -> Status:
    peers = tuple(
        PeerStatus(name=f"balanced_{name}", established=up, state="Established" if up else "Active", announced=2)
        for name, up in (("tor1", True), ("tor2", False))
    )
    return Status(
        node="lb1",
        version="0.1.0",
        degraded=bool(conditions or waiting_for),
        waiting_for=waiting_for,
        bird=bird,
        peers=peers if bird else (),
        conditions=conditions or {},
        problems=problems,
        draining=1,
        passes=17,
        vips=vips,
    )


TYPICAL = node(
    vip(),
    vip(
        "10.50.0.2",
        "withdrawn",
        services=("tcp/80",),
        ready=0,
        backends=2,
        to=(),
        for_s=7,
        reason="0 of 1 needed backends ready",
    ),
    vip(
        "10.50.0.17",
        "withdrawn",
        services=("tcp/443",),
        to=(),
        for_s=93_900,
        kernel="service tcp/10.50.0.17:443 is not in the kernel",
        reason="repaired 3 times within 2.5 s: something keeps undoing it",
    ),
    vip("10.50.0.18", "removing", services=(), ready=0, backends=0, kernel="-", to=(), reason="no longer wanted"),
    vip("2001:db8:50::1", services=("udp/53", "tcp/53"), to=("balanced_tor1",), ready=9, backends=10),
    conditions={"source file": "web.yaml:12: spec.ports[0].port: 0 is no port (write 1 to 65535); the last good state"},
    problems=("web.yaml:30: vip: 192.0.2.1 is outside the pools of this node (take an address in 10.50.0.0/24)",),
)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_typical_status_reads_well(width: int) -> None:
    """The files in golden/ are what was looked at and found good; write them anew with show_status(TYPICAL, width)."""
    text = show_status(TYPICAL, width).plain

    assert text + "\n" == (GOLDEN / f"status-{width}.txt").read_text()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, show_status(TYPICAL, width).plain.splitlines())) <= width


names = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
vips = st.builds(
    vip,
    st.ip_addresses().map(str),
    st.sampled_from(["announced", "withdrawn", "removing"]),
    services=st.lists(st.sampled_from(["tcp/80", "udp/53", "sctp/65535"]), max_size=9).map(tuple),
    ready=st.integers(0, 400),
    backends=st.integers(0, 400),
    kernel=st.sampled_from(["proven", "-", "the link that carries the VIPs is down"]),
    to=st.lists(names, max_size=5).map(tuple),
    for_s=st.floats(0, 1e8),
)


@given(st.lists(vips, min_size=1, max_size=4), st.integers(40, 200))
def test_no_width_breaks_a_word(shown: list[VipStatus], width: int) -> None:
    """Addresses, ports, peers and states stand whole, whatever stands beside them."""
    words = set(re.split(r"\s+", show_status(node(*shown), width).plain))

    for each in shown:
        whole = {each.vip, each.state, f"{each.backends_ready}/{each.backends}", *each.services, *each.reason.split()}
        assert whole <= words
        assert {peer.removeprefix("balanced_") for peer in each.announced_to} <= words


@pytest.mark.parametrize(
    ("status", "line"),
    [
        pytest.param(node(), "no VIPs", id="nothing wanted"),
        pytest.param(
            node(waiting_for="first word of source file"),
            "no VIPs: waiting for the first word of source file",
            id="boot",
        ),
        pytest.param(node(bird=""), "lb1  balanced 0.1.0  BIRD not answering  well", id="no BIRD"),
        pytest.param(node(), "lb1  balanced 0.1.0  BIRD 2.17.1, 1 of 2 sessions up  well", id="one session down"),
        pytest.param(
            node(conditions={"bird": "no answer"}),
            "lb1  balanced 0.1.0  BIRD 2.17.1, 1 of 2 sessions up  degraded",
            id="degraded",
        ),
        pytest.param(node(conditions={"bird": "no answer"}), "! bird: no answer", id="condition"),
    ],
)
def test_a_line_tells(status: Status, line: str) -> None:
    assert line in show_status(status, 80).plain.splitlines()


def test_no_text_from_outside_steers_the_terminal() -> None:
    """An error message may quote a file, and the file may hold an escape sequence."""
    hostile = "\x1b[2Jweb\r\x07\u202e"
    status = node(vip(reason=hostile), conditions={"source file": hostile}, problems=(hostile,))

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", show_status(status, 120).plain)


def test_states_have_colours_and_addresses_none() -> None:
    text = show_status(node(vip(), vip("10.50.0.2", "withdrawn")), 120)

    coloured = {text.plain[span.start : span.end].strip(): span.style for span in text.spans}
    assert (coloured["announced"], coloured["withdrawn"]) == ("green", "red")
    assert "10.50.0.1" not in coloured


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m 0s"),
        (3599, "59m 59s"),
        (3600, "1h 0m"),
        (86_399, "23h 59m"),
        (86_400, "1d 0h"),
        (273_600, "3d 4h"),
        (864_000_000, "10000d 0h"),
    ],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert ago(seconds) == words
