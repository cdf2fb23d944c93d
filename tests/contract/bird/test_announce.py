"""Announcing, on a fake BIRD and on every real one alike."""

import asyncio
import stat
from contextlib import closing
from ipaddress import ip_address

import pytest

from appliance.bird.announce import Announcer
from appliance.bird.control import CONFIGURE_STATUS, Command
from appliance.bird.reconfigure import UNDO_SCHEDULED, apply
from appliance.bird.render import render_include
from appliance.errors import BirdRejected, BirdUnreachable
from appliance.model.address import Address
from appliance.model.routing import Announcement, Routing
from tests.contract.bird.real_bird import eventually
from tests.contract.bird.subject import Subject

A, B, C = (ip_address(text) for text in ("10.50.0.1", "10.50.0.2", "2001:db8:50::1"))


def publish(subject: Subject, *vips: Address) -> Routing:
    return publish_and_listen(subject, *vips)[0]


def publish_and_listen(subject: Subject, *vips: Address) -> tuple[Routing, list[str]]:
    """What came out, and those commands that were given to BIRD and may change something."""

    async def work() -> tuple[Routing, list[str]]:
        with closing(subject.control()) as control:
            routing = await Announcer(subject.config, control).publish(Announcement(frozenset(vips)))
        return routing, [said for said in control.said if not said.startswith("show") and "status" not in said]

    return asyncio.run(work())


def observe(subject: Subject) -> Routing:
    async def work() -> Routing:
        with closing(subject.control()) as control:
            return await Announcer(subject.config, control).observe()

    return asyncio.run(work())


def say(subject: Subject, text: str) -> frozenset[int]:
    async def work() -> frozenset[int]:
        with closing(subject.control()) as control:
            return (await control.ask(Command(text))).codes

    return asyncio.run(work())


def test_bird_holds_exactly_what_was_published(subject: Subject) -> None:
    assert publish(subject, A, B, C).held == {A, B, C}
    assert observe(subject).held == {A, B, C}
    assert publish(subject, B).held == {B}
    assert observe(subject).held == {B}
    assert publish(subject).held == frozenset()


def test_a_change_is_checked_bounded_read_back_and_confirmed(subject: Subject) -> None:
    said = publish_and_listen(subject, A)[1]
    assert said == ["configure check", "configure timeout 4", "configure confirm"]
    assert UNDO_SCHEDULED not in say(subject, CONFIGURE_STATUS.text)


def test_i6_what_stands_already_is_only_read(subject: Subject) -> None:
    publish(subject, A, C)
    before = subject.include.stat()
    routing, said = publish_and_listen(subject, C, A)
    assert routing.held == {A, C}
    assert said == []
    assert subject.include.stat() == before


def test_a_bird_that_never_saw_our_file_holds_nothing(subject: Subject) -> None:
    routing = observe(subject)
    assert routing.held == frozenset()
    assert routing.version
    assert [(peer.name, peer.established, peer.exported) for peer in routing.peers] == [
        ("balanced_tor1", False, frozenset())
    ]


def test_a_file_that_bird_has_not_read_is_read(subject: Subject) -> None:
    """Equal bytes on the disk prove nothing about what BIRD holds."""
    subject.include.write_text(render_include({A}))
    assert observe(subject).held == frozenset()
    assert publish(subject, A).held == {A}


def test_a_bird_that_restarted_with_an_old_file_is_put_right(subject: Subject) -> None:
    publish(subject, A)
    subject.bird.stop()
    subject.include.write_text(render_include({A, B}))
    subject.bird.start()
    assert observe(subject).held == {A, B}
    assert publish(subject, A).held == {A}


def test_a_bird_that_restarted_without_the_file_is_put_right(subject: Subject) -> None:
    publish(subject, A)
    subject.bird.stop()
    subject.include.unlink()
    subject.bird.start()
    assert observe(subject).held == frozenset()
    assert publish(subject, A).held == {A}


def test_one_announcer_outlives_a_restart_of_bird(subject: Subject) -> None:
    async def work() -> None:
        with closing(subject.control()) as control:
            announcer = Announcer(subject.config, control)
            await announcer.publish(Announcement(frozenset({A})))
            await asyncio.to_thread(subject.bird.stop)
            with pytest.raises(BirdUnreachable, match="systemctl status bird"):
                await announcer.observe()
            await asyncio.to_thread(subject.bird.start)
            assert (await announcer.observe()).held == {A}

    asyncio.run(work())


def test_what_was_withdrawn_while_bird_was_down_stays_withdrawn_when_it_starts(subject: Subject) -> None:
    publish(subject, A, B)
    subject.bird.stop()
    with pytest.raises(BirdUnreachable):
        publish(subject, A)
    subject.bird.start()
    assert observe(subject).held == {A}


def test_a_configuration_that_the_operator_broke_leaves_everything_as_it_was(subject: Subject) -> None:
    publish(subject, A)
    broken = subject.include.with_name("operator.conf")
    broken.write_text("protocol static operator { ipv4; syntax error }\n")
    with pytest.raises(BirdRejected, match="8002") as caught:
        publish(subject, A, B)
    assert caught.value.code == 8002
    assert subject.include.read_text() == render_include({A})
    broken.unlink()
    assert observe(subject).held == {A}
    assert publish(subject, A, B).held == {A, B}


def test_what_an_operator_disabled_by_hand_is_announced_again(subject: Subject) -> None:
    publish(subject, A)
    say(subject, "disable balanced_vips4")
    eventually(lambda: observe(subject).held == frozenset())
    assert publish(subject, A).held == {A}


def test_a_director_that_died_before_it_confirmed_does_not_lose_its_change_later(subject: Subject) -> None:
    """I7: its successor confirms when it first looks, instead of routes changing by themselves a moment later."""
    publish(subject, A)

    async def die_half_way() -> None:
        with closing(subject.control()) as control:
            await apply(control, 60)

    subject.include.write_text(render_include({B}))
    asyncio.run(die_half_way())
    assert UNDO_SCHEDULED in say(subject, CONFIGURE_STATUS.text)
    eventually(lambda: observe(subject).held == {B})
    assert UNDO_SCHEDULED not in say(subject, CONFIGURE_STATUS.text)


def test_what_nobody_confirmed_is_undone_by_bird_and_published_again(subject: Subject) -> None:
    publish(subject, A)
    subject.include.write_text(render_include({B}))
    say(subject, "configure timeout 1")

    def held() -> frozenset[Address]:
        config = subject.config
        include = config.model_copy(update={"bgp": config.bgp.model_copy(update={"manage": "include"})})
        return observe(Subject(subject.bird, include)).held

    eventually(lambda: held() == {B})
    eventually(lambda: held() == {A})
    assert publish(subject, B).held == {B}


def test_where_the_configuration_is_the_operators_every_session_is_looked_at(subject: Subject) -> None:
    config = subject.config
    bgp = config.bgp.model_copy(update={"manage": "include", "peers": ()})
    routing = observe(Subject(subject.bird, config.model_copy(update={"bgp": bgp})))
    assert [peer.name for peer in routing.peers] == ["balanced_tor1"]


def test_a_session_that_bird_does_not_have_is_shown_as_absent(subject: Subject) -> None:
    config = subject.config
    peers = tuple(peer.model_copy(update={"name": "tor2"}) for peer in config.bgp.peers)
    bgp = config.bgp.model_copy(update={"peers": peers})
    routing = observe(Subject(subject.bird, config.model_copy(update={"bgp": bgp})))
    assert [(peer.name, peer.state) for peer in routing.peers] == [("balanced_tor2", "absent")]


def test_the_files_can_be_read_by_bird_and_written_by_us_alone(subject: Subject) -> None:
    folder = subject.include.parent
    folder.rmdir()
    publish(subject, A)
    assert stat.S_IMODE(subject.include.stat().st_mode) == 0o644
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {path.name for path in folder.iterdir()} == {subject.include.name, subject.preference.name}


def test_the_first_change_goes_at_once_and_what_changes_nothing_costs_nothing(subject: Subject) -> None:
    async def work() -> None:
        now_s = 1000.0
        with closing(subject.control()) as control:
            announcer = Announcer(subject.config, control, clock=lambda: now_s)
            assert announcer.ready_in_s(now_s) == 0
            await announcer.publish(Announcement(frozenset({A})))
            assert announcer.ready_in_s(now_s) == 1
            now_s = 1001.0
            await announcer.publish(Announcement(frozenset({A})))
            assert announcer.ready_in_s(now_s) == 0

    asyncio.run(work())
