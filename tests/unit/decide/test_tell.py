"""What the owners of services are told about what was done."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from appliance.decide.tell import Silence, announced, programmed, refused, silences
from appliance.model.address import Address
from appliance.model.desired import Problem
from appliance.model.happening import Happening, Reason
from appliance.model.plan import (
    AddDestination,
    AddService,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
)
from appliance.model.service import Destination, Protocol, ServiceFlag, ServiceKey, VirtualService

VIP, OTHER_VIP = ip_address("10.50.0.1"), ip_address("10.50.0.2")
KEY, OTHER = ServiceKey(VIP, Protocol.TCP, 80), ServiceKey(VIP, Protocol.TCP, 443)
OWNERS = {KEY: "default/web", OTHER: "default/api"}
SERVICE = VirtualService(KEY, "mh", ServiceFlag.SCHEDULER_1)


def backend(number: int, weight: int = 1) -> Destination:
    return Destination(ip_address(f"10.1.0.{number}"), 80, weight)


@pytest.mark.parametrize(
    ("step", "reason", "text"),
    [
        pytest.param(AddService(SERVICE), "CreatedIPVSService", "tcp/10.50.0.1:80", id="a new service"),
        pytest.param(
            SetService(SERVICE), "UpdatedIPVSService", "tcp/10.50.0.1:80: scheduler mh, flags 0x8", id="a changed one"
        ),
        pytest.param(RemoveService(KEY), "DeletedIPVSService", "tcp/10.50.0.1:80", id="one that goes"),
        pytest.param(
            AddDestination(KEY, backend(1)), "CreatedIPVSDestination", "tcp/10.50.0.1:80: 10.1.0.1", id="a new backend"
        ),
        pytest.param(
            SetDestination(KEY, backend(1, 0)),
            "UpdatedIPVSDestination",
            "tcp/10.50.0.1:80: 10.1.0.1 weight 0",
            id="one that drains",
        ),
        pytest.param(
            RemoveDestination(KEY, backend(1)),
            "DeletedIPVSDestination",
            "tcp/10.50.0.1:80: 10.1.0.1",
            id="one that goes",
        ),
    ],
)
def test_each_step_has_the_reason_of_the_original(step: ServiceStep, reason: str, text: str) -> None:
    assert list(programmed([step], OWNERS)) == [Happening("default/web", Reason(reason), text)]


def test_a_service_and_its_backends_are_two_lines_however_many_backends_there_are() -> None:
    """The switch from the loading scheduler is part of the creation."""
    loading = replace(SERVICE, scheduler="rr")
    added: list[ServiceStep] = [AddDestination(KEY, backend(n)) for n in range(5, 0, -1)]
    steps = [AddService(loading), *added, SetService(SERVICE)]
    assert [(each.reason.name, each.text) for each in programmed(steps, OWNERS)] == [
        ("CREATED_SERVICE", "tcp/10.50.0.1:80"),
        ("CREATED_DESTINATION", "tcp/10.50.0.1:80: 10.1.0.1, 10.1.0.2, 10.1.0.3 and 2 more"),
    ]


def test_what_belongs_to_nobody_is_told_to_nobody() -> None:
    assert list(programmed([RemoveService(KEY)], {})) == []
    assert list(programmed([RemoveService(KEY), RemoveService(OTHER)], {OTHER: "default/api"})) == [
        Happening("default/api", Reason.DELETED_SERVICE, str(OTHER))
    ]


def test_everybody_on_a_vip_hears_when_it_comes_and_why_it_goes() -> None:
    owners = {VIP: ["default/web", "default/api"], OTHER_VIP: ["default/mail"]}
    reasons = {VIP: "0 of 1 needed backends ready", OTHER_VIP: "read back from the kernel"}
    assert list(announced({VIP}, {OTHER_VIP}, reasons, owners)) == [
        Happening("default/web", Reason.WITHDRAWN, "10.50.0.1: 0 of 1 needed backends ready"),
        Happening("default/api", Reason.WITHDRAWN, "10.50.0.1: 0 of 1 needed backends ready"),
        Happening("default/mail", Reason.ANNOUNCED, "10.50.0.2: read back from the kernel"),
    ]


def test_a_problem_is_told_once_to_whom_it_concerns() -> None:
    old = Problem("service default/web: port 80", "refused", "mend it", "default/web", in_cluster=True)
    new = Problem("service default/api: vip", "is outside", "move it", "default/api", in_cluster=True)
    nobodys = Problem("web.yaml:1", "unreadable")
    of_a_file = Problem("web.yaml:2: vip", "is outside", "move it", "default/api")
    assert list(refused([old], [old, new, nobodys, of_a_file])) == [
        Happening("default/api", Reason.REFUSED, "service default/api: vip: is outside (move it)")
    ]


def test_only_what_an_owner_should_look_at_is_a_warning() -> None:
    assert {each.value for each in Reason if each.is_warning} == {
        *("Withdrawn", "NotAnnounced", "Refused"),
        *("OutOfLoadBalancerIP", "IPRequestCriteriaNotMet", "NoSuitableLoadBalancerIP"),
        *("LoadBalancerIPSharingConflict", "ForeignLoadBalancerClass", "ForeignLoadBalancerIP"),
        *("TunnelRefused", "TunnelFailed"),
    }


def test_owners_hear_of_a_silence_once_it_has_stood_and_once_for_each_reason() -> None:
    """Over a time-line of words; in brackets those that are overdue at that second."""
    known: dict[Address, Silence] = {}
    heard = []
    for now_s, word in [
        (0, "backends"),
        (4, "backends"),
        (5, "backends"),
        (9, "backends"),
        (10, "rising"),
        (20, "rising"),
        (21, "backends"),
        (30, "backends"),
        (31, "kernel"),
        (35, "kernel"),
        (36, "kernel"),
        (99, "held_down"),
        (999, "unknown"),
    ]:
        known = silences(known, {VIP: word}, now_s)
        if known[VIP].overdue(now_s):
            heard.append((now_s, word))
            known[VIP] = known[VIP].tell()
    assert heard == [(5, "backends"), (36, "kernel")]


def test_what_is_announced_is_silent_no_more() -> None:
    told = Silence("backends", 0, frozenset({"backends"}))
    assert silences({VIP: told, OTHER_VIP: told}, {OTHER_VIP: "backends"}, 9) == {OTHER_VIP: told}
