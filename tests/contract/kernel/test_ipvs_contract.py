"""What the director relies on in a table of virtual services, fake or real."""

import errno
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from appliance.director.ports import Ipvs
from appliance.model.observed import ObservedService
from appliance.model.plan import (
    AddDestination,
    AddService,
    Outcome,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
)
from appliance.model.service import (
    Destination,
    Forwarding,
    Protocol,
    ServiceFlag,
    ServiceKey,
    Tunnel,
    TunnelFlag,
    TunnelType,
    VirtualService,
)

WEB = ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80)
DNS = ServiceKey(ip_address("2001:db8::50"), Protocol.UDP, 53)
ABSENT = ServiceKey(ip_address("10.50.0.9"), Protocol.SCTP, 9)
MH = ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2
A, B, C = (Destination(ip_address(f"10.60.0.{host}"), 80, 1) for host in (1, 2, 3))


def outcomes(ipvs: Ipvs, *steps: ServiceStep) -> list[tuple[str, int]]:
    results = ipvs.apply(steps)
    assert [result.step for result in results] == list(steps)
    return [(result.outcome.value, result.errno) for result in results]


def done(ipvs: Ipvs, steps: Sequence[ServiceStep]) -> None:
    assert {result.outcome for result in ipvs.apply(steps)} <= {Outcome.DONE}


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(VirtualService(WEB, "mh", MH), id="IPv4 mh with fallback and port"),
        pytest.param(VirtualService(DNS, "mh", MH), id="IPv6 mh with fallback and port"),
        pytest.param(VirtualService(WEB, "wrr", ServiceFlag.ONE_PACKET), id="one-packet scheduling"),
        pytest.param(VirtualService(ABSENT, "sh", ServiceFlag.SCHEDULER_2), id="SCTP"),
        pytest.param(
            VirtualService(WEB, "rr", ServiceFlag.PERSISTENT, persistence_s=300, persistence_prefix=24), id="IPv4 /24"
        ),
        pytest.param(
            VirtualService(DNS, "rr", ServiceFlag.PERSISTENT, persistence_s=60, persistence_prefix=64), id="IPv6 /64"
        ),
    ],
)
def test_a_service_is_read_as_it_was_added(ipvs: Ipvs, service: VirtualService) -> None:
    done(ipvs, [AddService(service)])
    assert ipvs.dump() == {service.key: ObservedService(service)} == ipvs.read([service.key])


@pytest.mark.parametrize("key", [WEB, DNS], ids=["IPv4 service", "IPv6 service"])
@pytest.mark.parametrize("address", ["10.60.0.1", "2001:db8:6::1"], ids=["IPv4 destination", "IPv6 destination"])
@pytest.mark.parametrize(
    "tunnel",
    [
        pytest.param(Tunnel(), id="IPIP"),
        pytest.param(Tunnel(TunnelType.GUE, port=5555, flags=TunnelFlag.REMOTE_CHECKSUM), id="GUE"),
        pytest.param(Tunnel(TunnelType.GRE, flags=TunnelFlag.CHECKSUM), id="GRE"),
    ],
)
def test_a_destination_is_read_as_it_was_added(ipvs: Ipvs, key: ServiceKey, address: str, tunnel: Tunnel) -> None:
    destination = Destination(ip_address(address), key.port, 7, tunnel=tunnel, upper_threshold=900, lower_threshold=100)
    done(ipvs, [AddService(VirtualService(key, "rr")), AddDestination(key, destination)])
    assert ipvs.dump()[key].destinations == (destination,)


def test_destinations_are_listed_with_the_last_added_first(ipvs: Ipvs) -> None:
    done(ipvs, [AddService(VirtualService(WEB, "mh", MH)), *(AddDestination(WEB, each) for each in (A, B, C))])
    assert ipvs.dump()[WEB].destinations == (C, B, A)


def test_a_changed_destination_keeps_its_place_and_one_added_again_goes_to_the_front(ipvs: Ipvs) -> None:
    done(ipvs, [AddService(VirtualService(WEB, "mh", MH)), *(AddDestination(WEB, each) for each in (A, B, C))])
    heavy = replace(B, weight=5)
    done(ipvs, [SetDestination(WEB, heavy)])
    assert ipvs.dump()[WEB].destinations == (C, heavy, A)
    done(ipvs, [RemoveDestination(WEB, A), AddDestination(WEB, A)])
    assert ipvs.dump()[WEB].destinations == (A, C, heavy)


def test_switching_the_scheduler_keeps_the_destinations(ipvs: Ipvs) -> None:
    done(ipvs, [AddService(VirtualService(WEB, "rr")), AddDestination(WEB, A), AddDestination(WEB, B)])
    done(ipvs, [SetService(VirtualService(WEB, "mh", MH))])
    assert ipvs.dump()[WEB].service == VirtualService(WEB, "mh", MH)
    assert ipvs.dump()[WEB].destinations == (B, A)


def test_flags_that_are_no_longer_wanted_are_cleared(ipvs: Ipvs) -> None:
    done(ipvs, [AddService(VirtualService(WEB, "mh", MH)), SetService(VirtualService(WEB, "mh"))])
    assert ipvs.dump()[WEB].service.flags == ServiceFlag.NONE
    assert outcomes(ipvs, RemoveService(WEB)) == [("done", 0)]


def test_what_is_there_already_and_what_is_gone_already_are_no_errors(ipvs: Ipvs) -> None:
    service = VirtualService(WEB, "rr")
    done(ipvs, [AddService(service), AddDestination(WEB, A)])
    assert outcomes(
        ipvs,
        AddService(service),
        AddDestination(WEB, A),
        RemoveDestination(WEB, B),
        RemoveDestination(ABSENT, B),
        RemoveService(ABSENT),
    ) == [
        ("already", errno.EEXIST),
        ("already", errno.EEXIST),
        ("already", errno.ENOENT),
        ("already", errno.ESRCH),
        ("already", errno.ESRCH),
    ]


def test_a_step_whose_ground_is_gone_may_work_after_the_next_reading(ipvs: Ipvs) -> None:
    done(ipvs, [AddService(VirtualService(WEB, "rr"))])
    assert outcomes(
        ipvs,
        SetService(VirtualService(ABSENT, "rr")),
        AddDestination(ABSENT, A),
        SetDestination(ABSENT, A),
        SetDestination(WEB, A),
    ) == [("retry", errno.ESRCH), ("retry", errno.ESRCH), ("retry", errno.ESRCH), ("retry", errno.ENOENT)]


def test_an_unknown_scheduler_is_fatal_and_changes_nothing(ipvs: Ipvs) -> None:
    standing = VirtualService(WEB, "rr")
    done(ipvs, [AddService(standing)])
    unknown: list[ServiceStep] = [AddService(VirtualService(DNS, "nosuch")), SetService(VirtualService(WEB, "nosuch"))]
    assert outcomes(ipvs, *unknown) == [("fatal", errno.ENOENT)] * 2
    assert ipvs.dump() == {WEB: ObservedService(standing)}


@pytest.mark.parametrize(
    ("destination", "number"),
    [
        pytest.param(replace(A, address=ip_address("224.0.0.5")), errno.EINVAL, id="multicast"),
        pytest.param(replace(A, address=ip_address("0.0.0.0")), errno.EINVAL, id="unspecified"),
        pytest.param(replace(A, weight=-1), errno.ERANGE, id="negative weight"),
        pytest.param(replace(A, lower_threshold=2, upper_threshold=1), errno.ERANGE, id="thresholds the wrong way"),
        pytest.param(replace(A, tunnel=Tunnel(TunnelType.GUE)), errno.EINVAL, id="GUE without a port"),
        pytest.param(
            replace(A, address=ip_address("2001:db8::1"), forwarding=Forwarding.DIRECT),
            errno.EINVAL,
            id="two families",
        ),
    ],
)
def test_an_impossible_destination_is_fatal_and_stops_no_other(
    ipvs: Ipvs, destination: Destination, number: int
) -> None:
    done(ipvs, [AddService(VirtualService(WEB, "rr"))])
    assert outcomes(ipvs, AddDestination(WEB, destination), AddDestination(WEB, B)) == [("fatal", number), ("done", 0)]
    assert ipvs.dump()[WEB].destinations == (B,)


def test_a_destination_without_a_route_is_taken_all_the_same(ipvs: Ipvs) -> None:
    """That is why routes are looked up separately: IPVS itself does not tell."""
    done(ipvs, [AddService(VirtualService(WEB, "rr")), AddDestination(WEB, A)])


def test_removing_a_service_removes_its_destinations(ipvs: Ipvs) -> None:
    done(ipvs, [AddService(VirtualService(WEB, "rr")), AddDestination(WEB, A), RemoveService(WEB)])
    assert ipvs.dump() == {}
    done(ipvs, [AddService(VirtualService(WEB, "rr"))])
    assert ipvs.dump()[WEB].destinations == ()


def test_only_the_services_that_stand_are_read(ipvs: Ipvs) -> None:
    done(ipvs, [AddService(VirtualService(WEB, "rr")), AddService(VirtualService(DNS, "rr"))])
    assert set(ipvs.read([WEB, ABSENT])) == {WEB}
    assert ipvs.read([]) == {}
    assert ipvs.apply([]) == ()
