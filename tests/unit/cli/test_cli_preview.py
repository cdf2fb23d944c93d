"""What ``balanced observe`` says: the changes, and the steps that a director would take."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest

from appliance.cli.observe import Line, text
from appliance.cli.preview import Change, Reading, preview
from appliance.decide.expect import expect
from appliance.decide.guard import GuardPolicy, guard
from appliance.model.desired import Announce, Backend, Desired, DesiredService, Note, Problem
from appliance.model.guard import ObservedGuard
from appliance.model.observed import Observed, ObservedLink
from appliance.model.service import Protocol, ServiceFlag, ServiceKey, Tunnel, TunnelType

POOLS = (ip_network("10.50.0.0/24"),)
VIP = ip_address("10.50.0.1")
KEY = ServiceKey(VIP, Protocol.TCP, 80)
WEB = DesiredService(KEY, "default/web", "rr", backends=(Backend(ip_address("10.1.0.1")),))


def desired(*services: DesiredService) -> Desired:
    return Desired({service.key: service for service in services})


def kernel_of(state: Desired) -> Reading:
    return Reading(Observed(expect(state), ObservedLink(present=True, up=True, addresses=state.vips)))


def guarded_by(state: Desired) -> ObservedGuard:
    """As a process reads it that has not made it."""
    return ObservedGuard(guard(state.services.values(), GuardPolicy(POOLS)), intact=False)


def test_a_first_state_is_all_new() -> None:
    found = preview(Desired(), desired(WEB), None, POOLS)
    assert found.changes == (Change("added", "tcp/10.50.0.1:80", "default/web", "rr, 1 of 1 ready"),)
    assert found.plan == (
        "add service tcp/10.50.0.1:80",
        "add destination 10.1.0.1 of tcp/10.50.0.1:80",
        "put address 10.50.0.1 on the link",
    )
    assert found.against == "previous state"


def test_a_kernel_that_holds_it_already_needs_nothing() -> None:
    found = preview(Desired(), desired(WEB), kernel_of(desired(WEB)), POOLS)
    assert (found.plan, found.against) == ((), "kernel")


def test_a_plan_against_the_kernel_shows_also_what_was_changed_by_hand() -> None:
    """The state itself does not change."""
    by_hand = kernel_of(desired(replace(WEB, scheduler="wrr")))
    found = preview(desired(WEB), desired(WEB), by_hand, POOLS)
    assert (found.changes, found.plan) == ((), ("set service tcp/10.50.0.1:80",))


def test_a_service_that_goes_is_removed_with_its_address() -> None:
    found = preview(desired(WEB), Desired(), None, POOLS)
    assert found.changes == (Change("removed", "tcp/10.50.0.1:80", "default/web", ""),)
    assert found.plan == ("remove service tcp/10.50.0.1:80", "take address 10.50.0.1 off the link")


def test_what_lies_outside_the_pools_is_not_in_any_plan() -> None:
    """I5: it is somebody else's, also for one who only looks."""
    foreign = DesiredService(ServiceKey(ip_address("192.0.2.1"), Protocol.TCP, 80), "theirs", "rr")
    found = preview(Desired(), Desired(), kernel_of(desired(foreign)), POOLS)
    assert found.plan == ()


@pytest.mark.parametrize("wanted", [Desired(), desired(WEB)], ids=["beside ours", "in place of ours"])
def test_a_stranger_s_service_is_named_and_left_out_of_the_plan(wanted: Desired) -> None:
    """I5: nobody claimed it. With a claim, the same is drift and is removed or put right."""
    theirs = kernel_of(desired(replace(WEB, scheduler="wrr")))
    found = preview(Desired(), wanted, replace(theirs, claimed=()), POOLS)
    assert not any("service" in step or "destination" in step for step in found.plan)
    assert "tcp/10.50.0.1:80" in found.foreign
    line = Line(datetime(2026, 1, 2, tzinfo=UTC), "file", found)
    assert any(each.startswith("  ! IPVS services inside our pools") for each in text(line))
    ours = preview(Desired(), wanted, replace(theirs, claimed={KEY}), POOLS)
    assert any("service" in step for step in ours.plan)
    assert ours.foreign == ""


@pytest.mark.parametrize(
    ("have", "step"),
    [
        pytest.param(guarded_by(desired(WEB)), None, id="as it should be"),
        pytest.param(guarded_by(Desired()), "guard tcp/10.50.0.1:80: closed -> open", id="a port to open"),
        pytest.param(ObservedGuard(), "make the guard, 1 ports open", id="no table"),
        pytest.param(
            ObservedGuard(replace(guard([WEB], GuardPolicy(POOLS)), pools=())),
            "set pools, own addresses and refusal of the guard",
            id="other pools",
        ),
    ],
)
def test_what_the_guard_lacks_is_in_the_plan(have: ObservedGuard, step: str | None) -> None:
    found = preview(desired(WEB), desired(WEB), replace(kernel_of(desired(WEB)), guard=have), POOLS)
    assert found.plan == (() if step is None else (step,))


@pytest.mark.parametrize(
    ("after", "what"),
    [
        pytest.param(replace(WEB, scheduler="mh"), "scheduler rr -> mh", id="scheduler"),
        pytest.param(replace(WEB, flags=ServiceFlag.PERSISTENT), "flags 0x0 -> 0x1", id="flags"),
        pytest.param(replace(WEB, persistence_s=60), "persistence_s 0 -> 60", id="persistence"),
        pytest.param(replace(WEB, announce=Announce.ALL), "announce any -> all", id="announce"),
        pytest.param(replace(WEB, drain_s=5.0), "drain_s None -> 5.0", id="drain"),
        pytest.param(replace(WEB, new_flows_per_s=9), "new_flows_per_s None -> 9", id="new flows"),
        pytest.param(
            replace(WEB, source_ranges=(ip_network("192.0.2.0/24"),)),
            "source ranges all -> 192.0.2.0/24",
            id="source ranges",
        ),
        pytest.param(replace(WEB, kube_proxy_too=True), "ipMode Proxy -> VIP", id="ipMode"),
        pytest.param(replace(WEB, owner="default/api"), "owner default/web -> default/api", id="owner"),
        pytest.param(replace(WEB, tunnel=Tunnel(TunnelType.GRE)), "tunnel ipip -> gre", id="tunnel"),
        pytest.param(
            replace(WEB, tunnel=Tunnel(TunnelType.GUE, 6080)), "tunnel ipip -> gue:6080", id="tunnel with a port"
        ),
        pytest.param(
            replace(WEB, backends=(Backend(ip_address("10.1.0.2"), 3),)),
            "backend 10.1.0.1 gone, backend 10.1.0.2 new -> weight 3",
            id="another backend",
        ),
        pytest.param(
            replace(WEB, backends=(Backend(ip_address("10.1.0.1"), ready=False),)),
            "backend 10.1.0.1 weight 1 -> not ready",
            id="a backend that is not ready",
        ),
    ],
)
def test_a_changed_service_says_what_of_it_changed(after: DesiredService, what: str) -> None:
    (change,) = preview(desired(WEB), desired(after), None, POOLS).changes
    assert (change.change, change.what) == ("changed", what)


def test_people_get_a_headline_and_a_line_for_each_thing() -> None:
    state = Desired({KEY: WEB}, (Problem("service default/bad: vip", "outside"),), (Note("service default/x", "odd"),))
    line = Line(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "kubernetes", preview(Desired(), state, None, POOLS))
    assert list(text(line)) == [
        "03:04:05 kubernetes: 1 services on 1 VIPs, 1 changed",
        "  + tcp/10.50.0.1:80 default/web: rr, 1 of 1 ready",
        "  plan, from the previous state:",
        "    add service tcp/10.50.0.1:80",
        "    add destination 10.1.0.1 of tcp/10.50.0.1:80",
        "    put address 10.50.0.1 on the link",
        "  ! refused: service default/bad: vip: outside",
        "  - service default/x: odd",
    ]


def test_what_could_steer_a_terminal_is_not_printed() -> None:
    line = Line(datetime(2026, 1, 2, tzinfo=UTC), "file", error="bad \x1b[31m\nname")
    assert list(text(line)) == ["00:00:00 file: bad ?[31m?name"]


def test_waiting_is_said() -> None:
    line = Line(datetime(2026, 1, 2, tzinfo=UTC), "file", waiting_for=("kubernetes",))
    assert list(text(line)) == ["00:00:00 file: waiting for the first word of kubernetes"]
