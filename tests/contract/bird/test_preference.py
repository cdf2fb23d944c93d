"""De-preference as the router sees it, beside the attributes of every announced VIP."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from appliance.bird.render import render_include, render_preference
from appliance.model.address import Address
from appliance.model.routing import Announcement
from tests.contract.bird.real_bird import RealBird, eventually
from tests.contract.bird.subject import NODE_AS, PEER_AS, VERSIONS, Subject, make, make_router
from tests.contract.bird.talk import established, observe, publish, say, updates

A, B, C = (ip_address(text) for text in ("10.50.0.1", "10.50.0.2", "10.50.0.3"))
ALL = frozenset({A, B, C})
Pair = tuple[Subject, RealBird]


def attributes(router: RealBird, vip: Address) -> dict[str, str]:
    """What the router has learned with the VIP; empty where it has no route."""
    said = router.says(f"show route {vip}/{vip.max_prefixlen} all")
    return dict(re.findall(r"(?:BGP\.|bgp_)(?:as_(?=path))?(\w+): ?(.*)", said))


def path(router: RealBird, vip: Address) -> list[str]:
    return attributes(router, vip).get("path", "").split()


@pytest.fixture
def told(pair: Pair) -> Pair:
    """The router has learned all three VIPs with their usual attributes."""
    subject, router = pair
    eventually(lambda: established(subject))
    publish(subject, Announcement(ALL))
    eventually(lambda: all(path(router, vip) == ["64512"] for vip in ALL))
    return pair


def test_a_node_that_is_to_be_avoided_keeps_its_routes_and_makes_them_worse(told: Pair) -> None:
    subject, router = told
    before = {vip: attributes(router, vip) for vip in ALL}
    assert before[A]["community"] == "(64512,100)"
    assert before[A]["med"] == "100"
    routing = publish(subject, Announcement(ALL, node_avoided=True))
    assert routing.held == routing.depreferred == ALL
    eventually(lambda: all(path(router, vip) == ["64512"] * 4 for vip in ALL))
    for vip in ALL:
        seen = attributes(router, vip)
        assert set(seen["community"].split()) == {"(65535,0)", "(64512,100)"}
        assert seen["med"] == "4294967294"
        assert seen["large_community"] == "(64512, 1, 2)"
    publish(subject, Announcement(ALL))
    eventually(lambda: {vip: attributes(router, vip) for vip in ALL} == before)


def test_each_change_of_preference_is_one_update_for_each_vip_concerned_and_no_withdrawal(told: Pair) -> None:
    subject, router = told
    first, gone = updates(router)
    publish(subject, Announcement(ALL, avoided=frozenset({B})))
    eventually(lambda: path(router, B) == ["64512"] * 4)
    assert updates(router) == (first + 1, gone)
    publish(subject, Announcement(ALL, node_avoided=True))
    eventually(lambda: path(router, A) == path(router, C) == ["64512"] * 4)
    assert updates(router) == (first + 3, gone)
    publish(subject, Announcement(ALL))
    eventually(lambda: all(path(router, vip) == ["64512"] for vip in ALL))
    assert updates(router) == (first + 6, gone)


def test_one_vip_alone_is_avoided_also_when_it_is_announced_so_from_the_start(told: Pair) -> None:
    subject, router = told
    publish(subject, Announcement(frozenset({B})))
    routing = publish(subject, Announcement(ALL, avoided=frozenset({A, C})))
    assert routing.depreferred == {A, C}
    eventually(lambda: path(router, A) == path(router, C) == ["64512"] * 4)
    assert path(router, B) == ["64512"]


def test_only_the_small_file_changes_with_the_preference(told: Pair) -> None:
    subject, _ = told
    before = subject.include.stat()
    publish(subject, Announcement(ALL, node_avoided=True))
    assert subject.include.stat() == before
    assert subject.preference.read_text() == render_preference(node_avoided=True)


def test_who_died_de_preferred_is_read_so_by_his_successor_and_put_right(told: Pair) -> None:
    subject, router = told
    publish(subject, Announcement(ALL, node_avoided=True))
    assert observe(subject).depreferred == ALL
    assert publish(subject, Announcement(ALL)).depreferred == frozenset()
    eventually(lambda: path(router, A) == ["64512"])


def test_a_small_file_that_somebody_else_put_in_place_is_read_and_put_right(told: Pair) -> None:
    """The last will of a director is no more than this, and BIRD reading its configuration."""
    subject, router = told
    subject.preference.write_text(render_preference(node_avoided=True))
    say(subject, "configure")
    eventually(lambda: path(router, A) == ["64512"] * 4)
    routing = observe(subject)
    assert routing.depreferred == ALL
    assert not Announcement(ALL).stands_in(routing)
    assert publish(subject, Announcement(ALL)).depreferred == frozenset()


def test_the_files_of_an_older_version_are_taken_over(told: Pair) -> None:
    """They had no filters; no order of writing may leave BIRD with a file that it cannot read."""
    subject, router = told
    gone = updates(router)
    old = re.sub(r" \{ import filter \w+; \};", ";", render_include(ALL))
    subject.preference.unlink()
    subject.include.write_text(old)
    say(subject, "configure")
    eventually(lambda: observe(subject).held == ALL)
    assert publish(subject, Announcement(ALL)).held == ALL
    assert updates(router) == gone


@pytest.fixture(params=VERSIONS)
def internal(folder: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A router of the node's own AS."""
    made = make(request.param, folder, peer_as=NODE_AS)
    router = make_router(request.param, made, folder / "router", peer_as=NODE_AS)
    router.start()
    made.bird.start()
    yield made, router
    made.bird.stop()
    router.stop()


def test_a_router_of_the_same_as_gets_the_lowest_local_preference_and_no_longer_path(internal: Pair) -> None:
    """It would drop a path with its own AS number in it, and with it the route."""
    assert NODE_AS != PEER_AS
    subject, router = internal
    eventually(lambda: established(subject))
    publish(subject, Announcement(ALL))
    eventually(lambda: attributes(router, A).get("local_pref") == "100")
    publish(subject, Announcement(ALL, node_avoided=True))
    eventually(lambda: attributes(router, A).get("local_pref") == "0")
    seen = attributes(router, A)
    assert path(router, A) == []
    assert "(65535,0)" in seen["community"]
    assert seen["med"] == "4294967294"
    publish(subject, Announcement(ALL))
    eventually(lambda: attributes(router, A).get("local_pref") == "100")
