"""A VIP is proven by what was read back from the kernel, and every single thing missing fails it in words."""

from dataclasses import replace

import pytest

from appliance.decide.expect import expect_service
from appliance.decide.proof import prove
from appliance.model.observed import Observed, ObservedLink, ObservedService
from appliance.model.service import Destination, Forwarding, ServiceFlag
from tests.unit.decide.values import addr, backend, dest, key, reading, wanted

VIP = addr("10.50.0.1")
WEB = expect_service(wanted(key(), backend("10.0.0.1"), backend("10.0.0.2")))
TLS = expect_service(wanted(key(port=443), backend("10.0.0.1", ready=False)))
BARE = expect_service(wanted(key()))
NAME = "tcp/10.50.0.1:80"


def with_destinations(*destinations: Destination) -> ObservedService:
    return replace(WEB, destinations=destinations)


def test_i1_a_vip_that_reads_back_whole_is_proven_and_counted() -> None:
    proof = prove(VIP, [WEB, TLS], reading(WEB, TLS), min_backends=1)

    assert (proof.ok, proof.reason) == (True, "read back from the kernel")
    assert (proof.services, proof.ready, proof.backends) == (2, 2, 3)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        pytest.param(ObservedLink(), "the link that carries the VIPs is missing", id="missing"),
        pytest.param(
            ObservedLink(present=True, addresses=frozenset({VIP})), "the link that carries the VIPs is down", id="down"
        ),
        pytest.param(
            ObservedLink(present=True, up=True, addresses=frozenset({addr("10.50.0.2")})),
            "address 10.50.0.1/32 is not on the link",
            id="address missing",
        ),
    ],
)
def test_i1_no_proof_without_the_address_on_the_link(link: ObservedLink, reason: str) -> None:
    proof = prove(VIP, [WEB], replace(reading(WEB), link=link), min_backends=1)

    assert (proof.ok, proof.reason) == (False, reason)


@pytest.mark.parametrize(
    ("stands", "reason"),
    [
        pytest.param(
            replace(WEB, service=replace(WEB.service, scheduler="rr", flags=ServiceFlag.NONE)),
            f"service {NAME} has rr flags 0x0 instead of mh flags 0x18",
            id="scheduler",
        ),
        pytest.param(
            replace(WEB, service=replace(WEB.service, flags=ServiceFlag.SCHEDULER_1)),
            f"service {NAME} has mh flags 0x8 instead of mh flags 0x18",
            id="flags",
        ),
        pytest.param(
            with_destinations(dest("10.0.0.1")),
            f"destination 10.0.0.2 of {NAME} is not in the kernel",
            id="destination missing",
        ),
        pytest.param(
            with_destinations(dest("10.0.0.1"), dest("10.0.0.2", 0)),
            f"destination 10.0.0.2 of {NAME} differs from what it should be",
            id="weight",
        ),
        pytest.param(
            with_destinations(dest("10.0.0.1"), replace(dest("10.0.0.2"), forwarding=Forwarding.DIRECT)),
            f"destination 10.0.0.2 of {NAME} differs from what it should be",
            id="forwarding",
        ),
        pytest.param(
            with_destinations(dest("10.0.0.1"), dest("10.0.0.2", port=8080)),
            f"destination 10.0.0.2 of {NAME} is not in the kernel",
            id="port",
        ),
    ],
)
def test_i1_no_proof_while_anything_in_the_kernel_differs(stands: ObservedService, reason: str) -> None:
    proof = prove(VIP, [WEB], reading(stands), min_backends=1)

    assert (proof.ok, proof.reason) == (False, reason)


def test_a_persistence_that_differs_is_named() -> None:
    """Scheduler and flags alone would read the same on both sides."""
    sticky = replace(WEB, service=replace(WEB.service, flags=ServiceFlag.PERSISTENT, persistence_s=300))
    edited = replace(sticky, service=replace(sticky.service, persistence_s=60))

    proof = prove(VIP, [sticky], reading(edited), min_backends=1)

    assert proof.reason == (
        f"service {NAME} has mh flags 0x1 persistence 60 s per /32 instead of mh flags 0x1 persistence 300 s per /32"
    )


def test_i1_a_fault_in_one_service_fails_the_whole_vip() -> None:
    proof = prove(VIP, [WEB, TLS], reading(WEB), min_backends=1)

    assert (proof.ok, proof.reason) == (False, "service tcp/10.50.0.1:443 is not in the kernel")


@pytest.mark.parametrize(
    ("service", "min_backends", "reason"),
    [
        pytest.param(WEB, 1, "", id="more than enough"),
        pytest.param(WEB, 2, "", id="just enough"),
        pytest.param(WEB, 3, "2 of 3 needed backends ready", id="one too few"),
        pytest.param(TLS, 1, "0 of 1 needed backends ready", id="none ready"),
        pytest.param(BARE, 1, "0 of 1 needed backends ready", id="no backends at all"),
    ],
)
def test_i1_no_proof_without_enough_ready_backends(service: ObservedService, min_backends: int, reason: str) -> None:
    proof = prove(VIP, [service], reading(service), min_backends)

    assert (proof.ok, proof.reason) == (not reason, reason or "read back from the kernel")


def test_ready_backends_of_several_services_are_not_added_up() -> None:
    """Two services with one backend each are not a service with two."""
    other = expect_service(wanted(key(port=443), backend("10.0.0.1")))
    one = expect_service(wanted(key(), backend("10.0.0.1")))

    assert not prove(VIP, [one, other], reading(one, other), min_backends=2).ok


def test_one_service_with_enough_backends_is_enough_for_the_vip() -> None:
    assert prove(VIP, [TLS, WEB], reading(WEB, TLS), min_backends=2).ok


@pytest.mark.parametrize(
    "stands",
    [
        pytest.param(with_destinations(dest("10.0.0.2"), dest("10.0.0.1")), id="another order"),
        pytest.param(
            with_destinations(dest("10.0.0.1"), dest("10.0.0.2"), dest("10.0.0.9", 0)), id="one that only drains"
        ),
    ],
)
def test_order_and_draining_destinations_do_not_fail_a_proof(stands: ObservedService) -> None:
    assert prove(VIP, [WEB], reading(stands), min_backends=1).ok


def test_i5_foreign_services_in_the_kernel_mean_nothing_to_a_proof() -> None:
    foreign = expect_service(wanted(key("192.0.2.1"), backend("10.0.0.1")))

    assert prove(VIP, [WEB], reading(WEB, foreign), min_backends=1) == prove(VIP, [WEB], reading(WEB), min_backends=1)


def test_i1_an_empty_kernel_proves_nothing() -> None:
    assert not prove(VIP, [WEB], Observed(), min_backends=0).ok
