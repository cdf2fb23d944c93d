"""Who gets which address, case by case."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from appliance.decide.allocate import allocate, open_ledger, settle
from appliance.decide.ledger import Ledger
from appliance.model.claim import Claim, Denial, Grant, Want
from appliance.model.labels import parse_selector
from appliance.model.pool import AddressPool, AddressRange


def pool(name: str, *ranges: str, **terms: object) -> AddressPool:
    return AddressPool(name, tuple(map(span, ranges)), **terms)  # type: ignore[arg-type]  # a test names each term


def span(text: str) -> AddressRange:
    first, dash, last = text.partition("-")
    return AddressRange(ip_address(first), ip_address(last)) if dash else AddressRange.of(ip_network(text))


def claim(name: str = "web", **fields: object) -> Claim:
    fields = {"owner": f"default/{name}", "age": "2026-01-01T00:00:00Z", "ports": frozenset({("TCP", 80)})} | fields
    for key in ("held", "requests"):
        fields[key] = tuple(map(ip_address, fields.get(key, ())))  # type: ignore[call-overload]  # texts
    return Claim(**fields)  # type: ignore[arg-type]  # as above


def given(grant: Grant) -> list[str]:
    return [str(address) for address in grant.addresses]


def reasons(grant: Grant) -> list[Denial]:
    return [each.reason for each in grant.refusals]


PUBLIC_V4 = pool("public", "10.50.0.0/24")
PUBLIC = pool("public", "10.50.0.0/24", "2001:db8:50::/64")


def test_the_lowest_free_address_is_given_without_its_edges() -> None:
    ledger = Ledger((PUBLIC,))
    assert [given(settle(ledger, claim(str(number)))[0]) for number in range(3)] == [
        ["10.50.0.1"],
        ["10.50.0.2"],
        ["10.50.0.3"],
    ]


@pytest.mark.parametrize(
    ("terms", "labels", "gives"),
    [
        pytest.param({}, {"team": "web"}, True, id="its labels match"),
        pytest.param({}, {"team": "mail"}, False, id="other labels"),
        pytest.param({}, {}, False, id="no labels"),
        pytest.param({"namespaces": ("default",)}, {"team": "web"}, True, id="named, and its labels match"),
        pytest.param({"namespaces": ("default",)}, {}, False, id="named, without the labels"),
        pytest.param({"namespaces": ("shop",)}, {"team": "web"}, False, id="the labels of another's namespace"),
    ],
)
def test_a_pool_may_be_for_namespaces_with_certain_labels(
    terms: dict[str, object],
    labels: dict[str, str],
    gives: bool,  # noqa: FBT001 - a column
) -> None:
    theirs = pool("theirs", "10.50.0.0/24", namespace_selector=parse_selector("team=web"), **terms)
    assert theirs.is_restricted
    grant = allocate(Ledger((theirs,)), claim(namespace_labels=labels))
    assert given(grant) == (["10.50.0.1"] if gives else [])
    assert reasons(grant) == ([] if gives else [Denial.NO_POOL])


def test_a_freed_address_is_the_lowest_again() -> None:
    ledger = Ledger((PUBLIC,))
    for number in range(5):
        settle(ledger, claim(str(number)))
    assert ledger.release("default/1") == (ip_address("10.50.0.2"),)
    assert given(allocate(ledger, claim("new"))) == ["10.50.0.2"]


def test_a_range_of_two_is_used_whole_where_edges_are_not_avoided() -> None:
    ledger = Ledger((pool("two", "10.50.0.254-10.50.0.255", avoids_edges=False),))
    assert [given(settle(ledger, claim(str(number)))[0]) for number in range(3)] == [
        ["10.50.0.254"],
        ["10.50.0.255"],
        [],
    ]


def test_exhaustion_has_a_name_and_the_pool_in_its_text() -> None:
    ledger = Ledger((pool("one", "10.50.0.7/32"),))
    settle(ledger, claim("first"))
    grant = allocate(ledger, claim("second"))
    assert reasons(grant) == [Denial.EXHAUSTED]
    assert "pool one" in grant.refusals[0].text


def test_an_address_that_was_given_stays_whatever_becomes_of_the_pool() -> None:
    held = claim(held=["10.50.0.9"])
    for terms in (
        {"disabled": True},
        {"reserved": (span("10.50.0.9/32"),)},
        {"namespaces": ("other",)},
        {"selector": parse_selector("a=b")},
        {"automatic": False},
    ):
        _, grants = open_ledger((pool("public", "10.50.0.0/24", **terms),), [held])
        assert given(grants[held.owner]) == ["10.50.0.9"], terms


def test_what_is_in_a_status_is_read_before_anything_is_given() -> None:
    older, younger = claim("older", age="2025"), claim("younger", age="2026", held=["10.50.0.1"])
    _, grants = open_ledger((PUBLIC,), [older, younger])
    assert (given(grants["default/older"]), given(grants["default/younger"])) == (["10.50.0.2"], ["10.50.0.1"])


def test_of_two_that_hold_one_address_the_older_keeps_it_and_the_younger_moves() -> None:
    older = claim("z", age="2025", held=["10.50.0.1"])
    younger = claim("a", age="2026", held=["10.50.0.1"])
    _, grants = open_ledger((PUBLIC,), [younger, older])
    assert (given(grants["default/z"]), given(grants["default/a"])) == (["10.50.0.1"], ["10.50.0.2"])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"requests": ["10.50.0.9"]}, ["10.50.0.9"], id="free: given"),
        pytest.param({"requests": ["10.50.0.1", "10.50.0.9"]}, ["10.50.0.9"], id="first taken: the second"),
        pytest.param({"requests": ["10.50.0.0"]}, ["10.50.0.0"], id="an edge: given by name"),
        pytest.param({"requests": ["2001:db8:50::9"]}, [Denial.REQUEST_UNMET], id="other family: unmet"),
        pytest.param({"requests": ["10.50.0.1"]}, [Denial.REQUEST_UNMET], id="taken: unmet"),
        pytest.param({"requests": ["10.99.0.1"]}, [Denial.REQUEST_UNMET], id="in no pool: unmet"),
        pytest.param({"requests": ["10.50.0.200"]}, [Denial.REQUEST_UNMET], id="reserved: unmet"),
        pytest.param({"requests": ["10.51.0.9"]}, ["10.51.0.9"], id="pool on request: given"),
        pytest.param({"requests": ["10.52.0.9"]}, [Denial.REQUEST_UNMET], id="pool of another namespace: unmet"),
        pytest.param({"requests": ["10.51.0.9"], "pool": "public"}, [Denial.REQUEST_UNMET], id="not in ip-pool: unmet"),
        pytest.param({"unreadable": ("nonsense",)}, [Denial.REQUEST_UNMET], id="no address: unmet"),
        pytest.param({"unreadable": ("x",), "requests": ["10.50.0.9"]}, ["10.50.0.9"], id="one of two readable: given"),
        pytest.param({"pool": "extra"}, ["10.51.0.1"], id="pool by name"),
        pytest.param({"pool": "10.51.0.0/24"}, ["10.51.0.1"], id="pool by CIDR"),
        pytest.param({"pool": "10.51.1.0/24"}, ["10.51.1.1"], id="one CIDR of a pool: only that"),
        pytest.param({"pool": "nowhere"}, [Denial.NO_POOL], id="unknown pool"),
        pytest.param({"pool": "theirs"}, [Denial.NO_POOL], id="pool of another namespace"),
        pytest.param({"pool": "closed"}, [Denial.NO_POOL], id="pool that is disabled"),
        pytest.param({"pool": "labelled"}, [Denial.NO_POOL], id="labels do not match"),
        pytest.param({"pool": "labelled", "labels": {"tier": "gold"}}, ["10.54.0.1"], id="labels match"),
        pytest.param({"versions": (6,)}, ["2001:db8:50::1"], id="single stack IPv6"),
        pytest.param({"versions": (6, 4)}, ["2001:db8:50::1", "10.50.0.2"], id="dual stack in the order asked for"),
        pytest.param({"versions": (4, 6), "pool": "extra"}, ["10.51.0.1"], id="prefer dual stack: one will do"),
        pytest.param(
            {"versions": (4, 6), "pool": "extra", "needs_all": True}, [Denial.NO_POOL], id="require dual stack: none"
        ),
        pytest.param({"want": Want.FOREIGN, "pool": "public"}, [Denial.FOREIGN_CLASS], id="foreign class that asks us"),
        pytest.param({"want": Want.FOREIGN}, [], id="foreign class: silence"),
        pytest.param({"held": ["192.0.2.1"]}, [Denial.FOREIGN_ADDRESS], id="given by others"),
        pytest.param({"has_hostname": True}, [Denial.FOREIGN_ADDRESS], id="host name given by others"),
    ],
)
def test_a_request_gets(fields: dict[str, object], expected: list[object]) -> None:
    pools = (
        pool("public", "10.50.0.0/24", "2001:db8:50::/64", reserved=(span("10.50.0.128-10.50.0.254"),)),
        pool("extra", "10.51.0.0/24", "10.51.1.0/24", automatic=False),
        pool("theirs", "10.52.0.0/24", namespaces=("other",)),
        pool("closed", "10.53.0.0/24", disabled=True),
        pool("labelled", "10.54.0.0/24", automatic=False, selector=parse_selector("tier in (gold)")),
    )
    ledger, _ = open_ledger(pools, [claim("first")])
    grant = allocate(ledger, claim("new", **fields))
    assert [*given(grant), *reasons(grant)] == expected


def test_pools_go_by_priority_then_those_for_few_then_the_default_then_as_written() -> None:
    pools = (
        pool("a", "10.1.0.1/32"),
        pool("b", "10.2.0.1/32", is_default=True),
        pool("c", "10.3.0.1/32", namespaces=("default",)),
        pool("d", "10.4.0.1/32", priority=1),
    )
    ledger = Ledger(pools)
    order = [given(settle(ledger, claim(str(number)))[0]) for number in range(4)]
    assert order == [["10.4.0.1"], ["10.3.0.1"], ["10.2.0.1"], ["10.1.0.1"]]


def test_services_with_one_key_and_other_ports_share_an_address() -> None:
    ledger = Ledger((PUBLIC,))
    tcp = claim("tcp", key="dns", ports=frozenset({("TCP", 53)}))
    udp = claim("udp", key="dns", ports=frozenset({("UDP", 53)}))
    clash = claim("clash", key="dns", ports=frozenset({("UDP", 53)}))
    elsewhere = replace(udp, owner="other/udp")
    assert [given(settle(ledger, each)[0]) for each in (tcp, udp, clash, elsewhere)] == [
        ["10.50.0.1"],
        ["10.50.0.1"],
        ["10.50.0.2"],
        ["10.50.0.3"],
    ]


def test_a_request_for_an_address_with_another_key_is_a_sharing_conflict() -> None:
    ledger = Ledger((PUBLIC,))
    settle(ledger, claim("first", key="a"))
    grant = allocate(ledger, claim("second", key="b", requests=["10.50.0.1"]))
    assert reasons(grant) == [Denial.SHARING]
    assert "default/first" in grant.refusals[0].text


def test_who_changes_the_key_of_a_shared_address_moves_and_the_other_stays() -> None:
    ledger = Ledger((PUBLIC,))
    tcp = claim("tcp", key="dns", ports=frozenset({("TCP", 53)}))
    udp = claim("udp", key="dns", ports=frozenset({("UDP", 53)}), age="2020")
    settle(ledger, tcp)
    settle(ledger, udp)
    moved, freed = settle(ledger, replace(udp, key="other", held=(ip_address("10.50.0.1"),)))
    assert (given(moved), freed) == (["10.50.0.2"], ())
    assert given(allocate(ledger, replace(tcp, held=(ip_address("10.50.0.1"),)))) == ["10.50.0.1"]


def test_a_service_that_asks_for_another_address_moves_if_it_can_be_had_and_stays_otherwise() -> None:
    ledger, _ = open_ledger((PUBLIC,), [claim("first"), claim("second")])
    held = claim("second", held=["10.50.0.2"])
    assert given(allocate(ledger, replace(held, requests=(ip_address("10.50.0.9"),)))) == ["10.50.0.9"]
    stays = allocate(ledger, replace(held, requests=(ip_address("10.50.0.1"),)))
    assert (given(stays), reasons(stays)) == (["10.50.0.2"], [Denial.REQUEST_UNMET])


def test_no_move_to_a_better_choice_that_becomes_free() -> None:
    asking = claim("second", requests=["10.50.0.1", "10.50.0.9"], held=["10.50.0.9"])
    assert given(allocate(Ledger((PUBLIC,)), asking)) == ["10.50.0.9"]


def test_a_service_that_is_no_load_balancer_any_more_gives_its_address_back() -> None:
    ledger, _ = open_ledger((PUBLIC,), [claim()])
    grant, freed = settle(ledger, claim(want=Want.NOTHING, held=["10.50.0.1"]))
    assert (grant, freed) == (Grant(), (ip_address("10.50.0.1"),))


def test_what_others_hold_inside_a_pool_is_not_given_to_anybody() -> None:
    foreign = claim("theirs", want=Want.FOREIGN, held=["10.50.0.1"])
    _, grants = open_ledger((PUBLIC,), [foreign, claim("ours")])
    assert grants["default/theirs"].hands_off
    assert given(grants["default/ours"]) == ["10.50.0.2"]


def test_what_is_freed_while_the_ledger_opens_goes_to_who_was_refused() -> None:
    waiting = claim("waiting", age="2020")
    leaving = claim("leaving", age="2021", want=Want.NOTHING, held=["10.50.0.7"])
    _, grants = open_ledger((pool("one", "10.50.0.7/32"),), [waiting, leaving])
    assert given(grants["default/waiting"]) == ["10.50.0.7"]


@pytest.mark.parametrize("text", ["10.0.0.0/8", "2001:db8::/32", "2001:db8::/64"])
def test_the_first_and_the_next_address_of_a_huge_range_cost_no_list_of_it(text: str) -> None:
    ledger = Ledger((pool("huge", text),))
    versions = (4,) if "." in text else (6,)
    first, second = (settle(ledger, claim(name, versions=versions))[0].addresses[0] for name in "ab")
    assert int(second) == int(first) + 1


@pytest.mark.parametrize(
    ("range_", "reserved", "size"),
    [
        ("10.50.0.0/24", (), 254),
        ("10.50.0.0/23", (), 508),
        ("10.50.0.16/28", (), 16),
        ("10.50.0.0/24", ("10.50.0.0-10.50.0.9", "10.50.0.5-10.50.0.19"), 235),
        ("10.50.0.250-10.50.1.5", (), 10),
        ("2001:db8::/64", (), 2**64 - 1),
    ],
)
def test_a_range_knows_how_many_addresses_it_gives(range_: str, reserved: tuple[str, ...], size: int) -> None:
    (supply,) = Ledger((pool("p", range_, reserved=tuple(map(span, reserved))),)).supplies()
    assert supply.size == size


def test_a_service_that_requires_both_families_keeps_what_it_has_while_it_cannot_have_all() -> None:
    """It asks for another IPv4 address, which could be had, and for IPv6, which cannot."""
    only4 = pool("only4", "10.50.0.0/24")
    asking = claim(versions=(4, 6), needs_all=True, held=["10.50.0.1"], requests=["10.50.0.9"])
    _, grants = open_ledger((only4,), [asking])
    assert given(grants["default/web"]) == ["10.50.0.1"]


def test_who_prefers_both_families_and_has_one_waits_for_the_other() -> None:
    full = pool("full", "2001:db8::1/128")
    ledger, _ = open_ledger((PUBLIC_V4, full), [claim("first", versions=(6,))])
    preferring = claim("second", versions=(4, 6))
    grant, _ = settle(ledger, preferring)
    assert (given(grant), grant.refusals, grant.waits) == (["10.50.0.1"], (), True)
    ledger.release("default/first")
    assert given(settle(ledger, preferring)[0]) == ["10.50.0.1", "2001:db8::1"]
