"""The lab can be trusted: what it measures is there when it should be, and missing when it should be."""

from collections.abc import Iterator

import pytest

from tests.lab.birds import RELEASES, bird_binaries
from tests.lab.by_hand import VIP4, VIPS, bring_up, director_config, program_by_hand, program_table, wait_for_routes
from tests.lab.capture import capture
from tests.lab.hosts import Host, create, destroy, wait_until
from tests.lab.topology import SERVERS, SERVERS4, Lab, build_lab


@pytest.fixture
def served(lab: Lab) -> Lab:
    """A lab that serves both VIPs, programmed without our daemon."""
    bring_up(lab)
    return lab


@pytest.fixture
def bare() -> Iterator[Host]:
    """One host that nothing is connected to."""
    host = Host("bare")
    create([host])
    yield host
    destroy([host])


def test_the_capture_sees_an_answer_that_does_pass_a_director(lab: Lab) -> None:
    """Proof that the checks above can fail: with masquerading the answers must come back through the director."""
    director = lab.directors[0]
    director.sysctl("net.ipv4.ip_forward", 1)
    director.ip(f"route add default via {director.link.router4}")
    program_by_hand(director, lab, forwarding="-m")
    director.start_bird(director_config(director))
    wait_for_routes(lab, VIP4, {"director1"})
    lab.router.ip(f"rule add from {SERVERS4} table 100", f"route add default via {director.address4} table 100")
    with capture(director) as packets:
        lab.client.spread(VIP4, 6)
    assert any(packet.is_syn_ack for packet in packets)


@pytest.mark.parametrize("name", [release.name for release in RELEASES])
def test_the_router_counts_what_the_directors_say(name: str) -> None:
    """With every supported BIRD at both ends."""
    bird = bird_binaries()[name]
    with build_lab(bird, bird) as served:
        bring_up(served)
        check_the_counters(served)


def check_the_counters(served: Lab) -> None:
    before = served.router.sessions()
    assert before["director1"].established
    assert before["director1"].times_up == 1
    assert before["director1"].updates >= len(VIPS)
    assert served.router.sessions() == before
    served.directors[0].birdc("disable vips4")
    wait_for_routes(served, VIP4, {"director2"})
    assert served.router.learned(VIP4) == {"director2"}
    assert served.router.sessions()["director1"].withdraws == before["director1"].withdraws + 1
    assert set(served.client.spread(VIP4, 30)) == set(SERVERS)


def test_without_a_route_the_kernel_still_takes_destinations_but_serves_nobody(served: Lab) -> None:
    """What the director's own route look-up is for: neither the table nor an error tells that packets go nowhere."""
    for director in served.directors:
        director.remove_routes_to_servers()
        director.run(["ipvsadm", "-C"])
    program_table(served.directors[0], served)
    assert str(served.servers[0].address4) in served.directors[0].ipvs()
    with pytest.raises(OSError, match="timed out"):
        served.client.get(VIP4)


def test_a_condition_that_never_comes_says_what_was_awaited_and_what_was_seen() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.1 s in vain for: the moon; last seen: 0"):
        wait_until(lambda: 0, 0.1, "the moon")


def test_a_program_that_fails_says_which_and_why(bare: Host) -> None:
    with pytest.raises(AssertionError, match=r"false failed \(1\)"):
        bare.run(["false"])
    with pytest.raises(AssertionError, match=r"bare/sh ended \(3\) without 'ready':\nbroken"):
        bare.start(["sh", "-c", "echo broken; exit 3"]).wait_for_log("ready")
