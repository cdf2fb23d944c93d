"""A VIP is proven by what was read back from the kernel, and every single thing missing fails it in words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.expect import expect_service
from appliance.decide.proof import Proof, prove
from appliance.model.desired import Announce, DesiredService
from appliance.model.observed import Observed, ObservedLink, ObservedService
from appliance.model.service import Destination, Forwarding, ServiceFlag
from tests.unit.decide.values import addr, backend, dest, key, net, reading, wanted

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
        pytest.param(
            ObservedLink(present=True, up=True, addresses=frozenset({VIP}), cut={VIP: "sent elsewhere"}),
            "sent elsewhere",
            id="no packet gets there",
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
        pytest.param(
            with_destinations(dest("10.0.0.1"), dest("10.0.0.2"), dest("10.0.0.8", 0), dest("10.0.0.9", 1)),
            f"destination 10.0.0.9 of {NAME} takes traffic, and nobody wants it",
            id="one too many",
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


ANY, ALL, ALWAYS = Announce.ANY, Announce.ALL, Announce.ALWAYS


def serving(port: int, announce: Announce, here: int, lost: int = 0) -> tuple[DesiredService, ObservedService]:
    """A service with ``here`` ready backends, and ``lost`` more that are ready too but that this node cannot reach."""
    backends = [backend(f"10.0.0.{n + 1}") for n in range(here)] + [backend(f"10.0.1.{n + 1}") for n in range(lost)]
    service = replace(wanted(key(port=port), *backends, backend("10.0.2.1", ready=False)), announce=announce)
    return service, expect_service(service, frozenset({net("10.0.1.0/24")}))


def judged(*services: tuple[DesiredService, ObservedService], min_backends: int = 1) -> Proof:
    """The proof of a VIP whose services all stand in the kernel as they should."""
    expected = [each for _, each in services]
    return prove(VIP, expected, reading(*expected), min_backends, {each.key: each for each, _ in services})


WELL = "read back from the kernel"
ONE_SHORT = "0 of 1 needed backends ready"


@pytest.mark.parametrize(
    ("services", "reason"),
    [
        pytest.param([(ANY, 1)], WELL, id="any, one ready"),
        pytest.param([(ANY, 0)], ONE_SHORT, id="any, none ready"),
        pytest.param([(ANY, 0), (ANY, 1)], WELL, id="any, the other ready"),
        pytest.param([(ALL, 1)], WELL, id="all, alone and ready"),
        pytest.param([(ALL, 0)], ONE_SHORT, id="all, alone and none ready"),
        pytest.param([(ALL, 1), (ALL, 2)], WELL, id="all, each ready"),
        pytest.param(
            [(ALL, 1), (ALL, 0)],
            f"{ONE_SHORT} for tcp/10.50.0.1:81, which announces only with its own",
            id="all, the second not ready",
        ),
        pytest.param([(ALL, 1), (ANY, 0)], WELL, id="all is ready, any need not be"),
        pytest.param(
            [(ANY, 1), (ALL, 0)],
            f"{ONE_SHORT} for tcp/10.50.0.1:81, which announces only with its own",
            id="any is ready, all is not",
        ),
        pytest.param([(ALWAYS, 1)], WELL, id="always, one ready"),
        pytest.param([(ALWAYS, 0)], f"{WELL}; always announced, now with {ONE_SHORT}", id="always, none ready"),
        pytest.param(
            [(ANY, 0), (ALWAYS, 0)],
            f"{WELL}; always announced, now with {ONE_SHORT}",
            id="always carries the VIP for the others",
        ),
        pytest.param(
            [(ALWAYS, 0), (ALL, 0)],
            f"{ONE_SHORT} for tcp/10.50.0.1:81, which announces only with its own",
            id="always does not speak for all",
        ),
    ],
)
def test_how_each_service_of_a_vip_asks_for_its_backends(services: list[tuple[Announce, int]], reason: str) -> None:
    proof = judged(*(serving(80 + n, announce, here) for n, (announce, here) in enumerate(services)))

    assert (proof.ok, proof.reason, proof.fault) == (reason.startswith(WELL), reason, "")


@pytest.mark.parametrize(
    ("here", "lost", "min_backends", "ok"),
    [
        pytest.param(0, 0, 1, True, id="the source has none"),
        pytest.param(0, 1, 1, False, id="the source has one, and this node cannot reach it"),
        pytest.param(1, 4, 1, True, id="one of five within reach"),
        pytest.param(1, 0, 3, True, id="fewer than needed, all within reach"),
        pytest.param(1, 1, 3, False, id="fewer than needed, and one of them out of reach"),
        pytest.param(3, 4, 3, True, id="just enough within reach"),
    ],
)
def test_always_forgives_what_the_source_lacks_and_never_what_this_node_lacks(
    here: int, lost: int, min_backends: int, *, ok: bool
) -> None:
    assert judged(serving(80, ALWAYS, here, lost), min_backends=min_backends).ok == ok


@pytest.mark.parametrize("announce", Announce)
def test_i1_no_way_to_announce_forgives_a_fault_in_the_kernel(announce: Announce) -> None:
    service, expected = serving(80, announce, 1)

    proof = prove(VIP, [expected], reading(), 1, {service.key: service})

    assert (proof.ok, proof.fault) == (False, "service tcp/10.50.0.1:80 is not in the kernel")


some_services = st.lists(
    st.tuples(st.sampled_from(Announce), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=4
)


def of(services: list[tuple[Announce, int, int]]) -> list[tuple[DesiredService, ObservedService]]:
    return [serving(80 + n, *each) for n, each in enumerate(services)]


@given(some_services, st.integers(1, 3))
def test_a_vip_is_announced_when_every_all_and_at_least_one_service_has_enough(
    services: list[tuple[Announce, int, int]], least: int
) -> None:
    """What it says in the user guide, in one line."""
    enough = [here >= (min(least, here + lost) if how is ALWAYS else least) for how, here, lost in services]
    every_all = all(ok for ok, (how, _, _) in zip(enough, services, strict=True) if how is ALL)

    assert judged(*of(services), min_backends=least).ok == (every_all and any(enough))


@given(some_services, st.integers(1, 3), st.integers(0, 3))
def test_a_backend_more_within_reach_never_withdraws_a_vip(
    services: list[tuple[Announce, int, int]], least: int, which: int
) -> None:
    index = which % len(services)
    how, here, lost = services[index]
    more = [*services[:index], (how, here + 1, lost), *services[index + 1 :]]

    assert judged(*of(more), min_backends=least).ok >= judged(*of(services), min_backends=least).ok


@given(st.integers(0, 3), st.integers(0, 2), st.integers(1, 3))
def test_alone_on_its_vip_all_is_as_any_and_always_is_never_stricter(here: int, lost: int, least: int) -> None:
    strict, usual, lenient = (judged(serving(80, how, here, lost), min_backends=least).ok for how in (ALL, ANY, ALWAYS))

    assert strict == usual
    assert lenient >= usual


@given(some_services, some_services, st.integers(1, 3))
def test_a_service_more_never_withdraws_a_vip_unless_it_says_all(
    services: list[tuple[Announce, int, int]], more: list[tuple[Announce, int, int]], least: int
) -> None:
    others = [each for each in more if each[0] is not ALL]

    assert judged(*of(services + others), min_backends=least).ok >= judged(*of(services), min_backends=least).ok
