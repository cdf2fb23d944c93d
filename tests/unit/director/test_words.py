"""Steps in words: each kind has its own, and a repair tells what stood there and what stands there now."""

from dataclasses import replace
from ipaddress import ip_address
from typing import get_args

import pytest

from appliance.decide.expect import expect_service
from appliance.director.words import MAX_STEPS_TOLD, repair, repairs, what
from appliance.model.observed import ObservedService
from appliance.model.plan import (
    AddAddress,
    AddDestination,
    AddressStep,
    AddService,
    EnsureLink,
    RemoveAddress,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
    Step,
)
from appliance.model.service import Forwarding, ServiceFlag, Tunnel, TunnelFlag, TunnelType
from tests.unit.director.harness import VIP, key, web

WEB = expect_service(web(backends=2))
FIRST = WEB.destinations[0]
EDITED = replace(WEB.service, scheduler="wlc", flags=ServiceFlag.NONE)

PLANNED: dict[Step, str] = {
    AddService(WEB.service): "add service tcp/10.50.0.1:80",
    SetService(WEB.service): "set service tcp/10.50.0.1:80",
    RemoveService(key()): "remove service tcp/10.50.0.1:80",
    AddDestination(key(), FIRST): "add destination 10.1.0.1 of tcp/10.50.0.1:80",
    SetDestination(key(), FIRST): "set destination 10.1.0.1 of tcp/10.50.0.1:80",
    RemoveDestination(key(), FIRST): "remove destination 10.1.0.1 of tcp/10.50.0.1:80",
    EnsureLink(): "set up the link",
    AddAddress(VIP): "put address 10.50.0.1 on the link",
    RemoveAddress(ip_address("2001:db8::1")): "take address 2001:db8::1 off the link",
}


@pytest.mark.parametrize(("step", "text"), [pytest.param(*pair, id=type(pair[0]).__name__) for pair in PLANNED.items()])
def test_a_step_is_told(step: ServiceStep | AddressStep, text: str) -> None:
    assert what(step) == text


def test_every_kind_of_step_is_in_the_list() -> None:
    assert {type(step) for step in PLANNED} == {kind for half in get_args(Step) for kind in get_args(half) or (half,)}


@pytest.mark.parametrize(
    ("step", "have", "text"),
    [
        pytest.param(AddService(WEB.service), None, "service was missing", id="service"),
        pytest.param(
            SetService(WEB.service),
            replace(WEB, service=EDITED),
            "wlc flags 0x0 -> mh flags 0x18",
            id="scheduler and flags",
        ),
        pytest.param(SetService(WEB.service), None, "loading -> mh flags 0x18", id="just created"),
        pytest.param(RemoveService(key()), WEB, "service not wanted", id="foreign service"),
        pytest.param(AddDestination(key(), FIRST), WEB, "10.1.0.1 was missing", id="destination"),
        pytest.param(RemoveDestination(key(), FIRST), WEB, "10.1.0.1 not wanted", id="foreign destination"),
        pytest.param(
            SetDestination(key(), FIRST),
            replace(WEB, destinations=(replace(FIRST, weight=7),)),
            "10.1.0.1 tunnel/ipip weight 7 -> tunnel/ipip weight 1",
            id="weight",
        ),
        pytest.param(
            SetDestination(key(), FIRST),
            replace(WEB, destinations=(replace(FIRST, forwarding=Forwarding.DIRECT),)),
            "10.1.0.1 direct/ipip weight 1 -> tunnel/ipip weight 1",
            id="forwarding",
        ),
        pytest.param(
            SetDestination(key(), FIRST),
            replace(WEB, destinations=(replace(FIRST, tunnel=Tunnel(TunnelType.GUE, 6080, TunnelFlag.CHECKSUM)),)),
            "10.1.0.1 tunnel/gue:6080,csum weight 1 -> tunnel/ipip weight 1",
            id="tunnel",
        ),
        pytest.param(
            SetDestination(key(), FIRST), None, "10.1.0.1 nothing -> tunnel/ipip weight 1", id="not read before"
        ),
    ],
)
def test_a_repair_tells_old_and_new(step: ServiceStep, have: ObservedService | None, text: str) -> None:
    assert repair(step, have) == text


def test_repairs_are_told_service_by_service() -> None:
    other = key(port=443)

    told = repairs([AddService(WEB.service), AddDestination(key(), FIRST), RemoveService(other)], {})

    assert told == {key(): "service was missing, 10.1.0.1 was missing", other: "service not wanted"}


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        pytest.param(MAX_STEPS_TOLD, ", 10.1.0.3 was missing", id="three are told"),
        pytest.param(MAX_STEPS_TOLD + 1, ", 10.1.0.3 was missing and 1 more", id="the fourth is counted"),
        pytest.param(400, ", 10.1.0.3 was missing and 397 more", id="hundreds are counted"),
    ],
)
def test_of_many_steps_of_a_service_the_first_are_told_and_the_rest_counted(steps: int, end: str) -> None:
    destinations = [replace(FIRST, address=FIRST.address + number) for number in range(steps)]

    (text,) = repairs([AddDestination(key(), each) for each in destinations], {}).values()

    assert text.endswith(end)
