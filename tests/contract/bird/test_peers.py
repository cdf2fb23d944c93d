"""What a router learns from us: two BIRDs of one version, and the router's own word for it."""

import asyncio
import re
from contextlib import closing
from ipaddress import ip_address

from appliance.bird.announce import Announcer
from appliance.bird.render import render_include
from appliance.model.address import Address
from appliance.model.routing import Announcement, Routing
from tests.contract.bird.real_bird import RealBird, eventually
from tests.contract.bird.subject import Subject

A, B, OUTSIDE = (ip_address(text) for text in ("10.50.0.1", "10.50.0.2", "10.60.0.1"))


def publish(subject: Subject, *vips: Address) -> Routing:
    async def work() -> Routing:
        with closing(subject.control()) as control:
            return await Announcer(subject.config, control).publish(Announcement(frozenset(vips)))

    return asyncio.run(work())


def observe(subject: Subject) -> Routing:
    async def work() -> Routing:
        with closing(subject.control()) as control:
            return await Announcer(subject.config, control).observe()

    return asyncio.run(work())


def learned(router: RealBird) -> set[str]:
    """The prefixes that stand in the router's table."""
    return set(re.findall(r"^(\S+/\d+)\s", router.says("show route"), flags=re.MULTILINE))


def established(subject: Subject) -> None:
    eventually(lambda: all(peer.established for peer in observe(subject).peers))


def test_the_router_learns_what_is_published_and_forgets_what_is_withdrawn(pair: tuple[Subject, RealBird]) -> None:
    subject, router = pair
    established(subject)
    routing = publish(subject, A, B)
    assert [(peer.state, peer.exported) for peer in routing.peers] == [("Established", frozenset({A, B}))]
    eventually(lambda: learned(router) == {"10.50.0.1/32", "10.50.0.2/32"})
    assert publish(subject, B).exported == {B}
    eventually(lambda: learned(router) == {"10.50.0.2/32"})
    assert publish(subject).exported == frozenset()
    eventually(lambda: learned(router) == set())


def test_the_router_sees_the_attributes_of_the_configuration(pair: tuple[Subject, RealBird]) -> None:
    subject, router = pair
    established(subject)
    publish(subject, A)
    eventually(lambda: learned(router) == {"10.50.0.1/32"})
    said = router.says("show route all")
    for attribute in ("bgp_med: 100", "bgp_community: (64512,100)", "bgp_large_community: (64512, 1, 2)"):
        assert attribute in said.replace("BGP.", "bgp_"), said


def test_nothing_but_hosts_of_our_protocol_inside_our_pools_gets_out(pair: tuple[Subject, RealBird]) -> None:
    """The filter is the second wall: what the director should never ask for does not reach the router either."""
    subject, router = pair
    established(subject)
    operator = subject.include.with_name("operator.conf")
    operator.write_text("protocol static operator {\n  ipv4;\n  route 10.50.0.7/32 blackhole;\n}\n")
    routing = publish(subject, A, OUTSIDE)
    assert routing.held == {A, OUTSIDE}
    assert routing.exported == {A}
    eventually(lambda: learned(router) == {"10.50.0.1/32"})

    subject.include.write_text(render_include({A}).replace("10.50.0.1/32", "10.50.0.0/25"))
    subject.bird.stop()
    subject.bird.start()
    eventually(lambda: "Established" in router.says("show protocols node"))
    eventually(lambda: learned(router) == set())
    assert isinstance(subject.bird, RealBird)
    assert "10.50.0.0/25" in subject.bird.says("show route")


def test_a_dead_bird_takes_its_routes_along(pair: tuple[Subject, RealBird]) -> None:
    """No graceful restart on our side: the router must not keep what nobody vouches for."""
    subject, router = pair
    established(subject)
    publish(subject, A)
    eventually(lambda: learned(router) == {"10.50.0.1/32"})
    subject.bird.stop()
    eventually(lambda: learned(router) == set(), within_s=2)
