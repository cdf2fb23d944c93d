"""BIRD takes no new configuration: what must go goes all the same, and nothing else moves."""

import asyncio
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address

import pytest

from appliance.bird.control import Command
from appliance.bird.render import render_include
from appliance.errors import BirdError, BirdRejected
from appliance.model.routing import Announcement
from tests.contract.bird.fake_bird import FakeBird
from tests.contract.bird.real_bird import RealBird, eventually
from tests.contract.bird.subject import Subject
from tests.contract.bird.talk import announcing, established, learned, observe, publish, say

A, B, C = (ip_address(text) for text in ("10.50.0.1", "10.50.0.2", "2001:db8:50::1"))
ALL = Announcement(frozenset({A, B, C}))
WITHOUT_A = Announcement(frozenset({B, C}))
Pair = tuple[Subject, RealBird]


def break_configuration(subject: Subject) -> None:
    subject.include.with_name("operator.conf").write_text("protocol static operator { ipv4; syntax error }\n")


def mend_configuration(subject: Subject) -> None:
    subject.include.with_name("operator.conf").unlink()


def block(subject: Subject) -> None:
    """No new file can be written, whoever we are."""
    for path in (subject.include, subject.preference):
        path.with_name(f"{path.name}.new").mkdir()


def unblock(subject: Subject) -> None:
    for path in (subject.include, subject.preference):
        path.with_name(f"{path.name}.new").rmdir()


# Fault 34: the configuration is rejected.


def test_fault_34_what_must_go_goes_although_the_configuration_is_rejected(subject: Subject) -> None:
    publish(subject, ALL)
    break_configuration(subject)
    with pytest.raises(BirdRejected, match=r"8002.*balanced_vips4 is disabled.*with it 1 that should") as caught:
        publish(subject, WITHOUT_A)
    assert caught.value.code == 8002
    assert observe(subject).held == {C}
    assert subject.include.read_text() == render_include({B, C})


def test_fault_34_with_nothing_to_withdraw_nothing_moves(subject: Subject) -> None:
    publish(subject, Announcement(frozenset({A, C})))
    before = subject.include.stat(), subject.preference.read_text()
    break_configuration(subject)
    with pytest.raises(BirdRejected, match="8002"):
        publish(subject, replace(ALL, node_avoided=True))
    assert observe(subject).held == {A, C}
    assert (subject.include.read_text(), subject.preference.read_text()) == (render_include({A, C}), before[1])
    assert not any(said.startswith("disable") for said in subject.said)


def test_fault_34_all_is_as_it_should_be_once_the_configuration_is_accepted_again(subject: Subject) -> None:
    publish(subject, ALL)
    break_configuration(subject)
    with pytest.raises(BirdRejected):
        publish(subject, WITHOUT_A)
    with pytest.raises(BirdRejected, match="balanced_vips4 is disabled"):
        publish(subject, WITHOUT_A)  # said as long as it lasts
    assert observe(subject).held == {C}
    mend_configuration(subject)
    assert publish(subject, WITHOUT_A).held == {B, C}
    assert observe(subject).disabled == frozenset()


def test_fault_34_a_new_director_knows_what_the_last_one_disabled_from_what_others_did(subject: Subject) -> None:
    publish(subject, ALL)
    break_configuration(subject)
    with pytest.raises(BirdRejected):
        publish(subject, WITHOUT_A)
    assert observe(subject).disabled == frozenset()
    say(subject, "disable balanced_vips6")
    assert observe(subject).disabled == {"balanced_vips6"}
    mend_configuration(subject)
    assert publish(subject, WITHOUT_A).held == {B, C}


def test_fault_34_who_enables_our_protocol_by_hand_does_not_bring_back_what_had_to_go(pair: Pair) -> None:
    subject, _ = pair
    publish(subject, ALL)
    break_configuration(subject)
    with pytest.raises(BirdRejected):
        publish(subject, WITHOUT_A)
    say(subject, "enable balanced_vips4")
    eventually(lambda: A in observe(subject).held)
    with pytest.raises(BirdRejected, match="balanced_vips4 is disabled"):
        publish(subject, WITHOUT_A)
    assert observe(subject).held == {C}


def test_fault_34_the_router_is_told_all_the_same(pair: Pair) -> None:
    subject, router = pair
    eventually(lambda: established(subject))
    publish(subject, Announcement(frozenset({A, B})))
    eventually(lambda: learned(router) == {"10.50.0.1/32", "10.50.0.2/32"})
    break_configuration(subject)
    with pytest.raises(BirdRejected):
        publish(subject, Announcement(frozenset({B})))
    eventually(lambda: learned(router) == set())
    mend_configuration(subject)
    publish(subject, Announcement(frozenset({B})))
    eventually(lambda: learned(router) == {"10.50.0.2/32"})


# Fault 38: the files cannot be written.


def test_fault_38_what_must_go_goes_although_no_file_can_be_written(subject: Subject) -> None:
    publish(subject, ALL)
    block(subject)
    with pytest.raises(BirdError, match=r"cannot write .*balanced_vips4 is disabled"):
        publish(subject, WITHOUT_A)
    assert observe(subject).held == {C}
    unblock(subject)
    assert publish(subject, WITHOUT_A).held == {B, C}


def test_fault_38_with_nothing_to_withdraw_nothing_moves(subject: Subject) -> None:
    publish(subject, Announcement(frozenset({A, C})))
    block(subject)
    with pytest.raises(BirdError, match="cannot write"):
        publish(subject, ALL)
    assert observe(subject).held == {A, C}


# Fault 35: BIRD is busy.


def test_fault_35_somebody_who_reconfigures_all_the_time_does_not_keep_us_from_it(subject: Subject) -> None:
    async def story() -> None:
        async with announcing(subject) as announcer:
            with closing(subject.control()) as other:

                async def meddle() -> None:
                    while True:
                        await other.ask(Command("configure"))
                        await asyncio.sleep(0.002)

                task = asyncio.create_task(meddle())
                for vips in (ALL.vips, {A}, {A, B}, set(), ALL.vips):
                    wanted = Announcement(frozenset(vips))
                    async with asyncio.timeout(5):
                        routing = None
                        while routing is None or not wanted.stands_in(routing):
                            try:
                                routing = await announcer.publish(wanted)
                            except BirdError as error:
                                assert "busy" in str(error) or "undone" in str(error)  # noqa: PT017 - one of two is fine
                task.cancel()
            assert (await announcer.observe()).held == ALL.vips

    asyncio.run(story())


def busy(bird: FakeBird, *, for_questions: int) -> None:
    """Make it take a configuration with 0005, and do it only when it was asked for its state so many times."""
    left = [for_questions]

    def state(bird: FakeBird) -> bytes:
        left[0] -= 1
        if left[0] > 0:
            return b"0005-Reconfiguration in progress, next one queued\n0000 \n"
        bird.answers = {}
        bird.obey("configure timeout 4")
        return bird.obey("configure status").encode()

    bird.answers = {
        "configure timeout": b"0002-Reading\n0022-Undo scheduled\n0005 Reconfiguration already in progress, queueing\n",
        "configure status": state,
        "configure undo": b"0021-Undo requested\n0017 Reconfiguration already in progress, removing queued config\n",
    }


def test_fault_35_what_takes_longer_is_left_to_bird_and_confirmed_when_it_is_read(fake: Subject) -> None:
    async def story() -> None:
        async with announcing(fake) as announcer:
            await announcer.publish(Announcement(frozenset({A})))
            assert isinstance(fake.bird, FakeBird)
            busy(fake.bird, for_questions=2)
            with pytest.raises(BirdError, match=r"busy.*looked at again"):
                await announcer.publish(ALL)
            assert "configure undo" not in fake.said
            fake.bird.obey("configure timeout 4")  # done by itself in the meantime
            assert (await announcer.publish(ALL)).held == ALL.vips
            assert fake.said[-1] == "configure confirm"

    asyncio.run(story())


def test_fault_35_what_must_go_is_not_left_to_a_bird_that_stays_busy(fake: Subject) -> None:
    async def story() -> None:
        async with announcing(fake) as announcer:
            await announcer.publish(ALL)
            assert isinstance(fake.bird, FakeBird)
            busy(fake.bird, for_questions=1000)
            with pytest.raises(BirdError, match="busy"):
                await announcer.publish(WITHOUT_A)
            assert (await announcer.observe()).held == ALL.vips
            with pytest.raises(BirdError, match=r"busy.*balanced_vips4 is disabled"):
                await announcer.publish(WITHOUT_A)
            assert (await announcer.observe()).held == {C}

    asyncio.run(story())
