"""Faults that no real BIRD can be brought to at will."""

import asyncio
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import pytest

from appliance.bird.announce import Announcer
from appliance.bird.control import SILENCE_S
from appliance.bird.render import render_include
from appliance.errors import BirdError, BirdRejected, BirdUnexpected, BirdUnreachable
from appliance.model.address import Address
from appliance.model.routing import Announcement, Routing
from tests.contract.bird.fake_bird import Answer, FakeBird
from tests.contract.bird.subject import Subject

A, B = ip_address("10.50.0.1"), ip_address("10.50.0.2")


def publish(subject: Subject, *vips: Address) -> tuple[Routing, list[str]]:
    async def work() -> tuple[Routing, list[str]]:
        with closing(subject.control()) as control:
            subject.said = control.said
            return await Announcer(subject.config, control).publish(Announcement(frozenset(vips))), control.said

    return asyncio.run(work())


def observe(subject: Subject) -> Routing:
    async def work() -> Routing:
        with closing(subject.control()) as control:
            return await Announcer(subject.config, control).observe()

    return asyncio.run(work())


def bird_of(subject: Subject) -> FakeBird:
    assert isinstance(subject.bird, FakeBird)
    return subject.bird


def busy(bird: FakeBird, code: int, questions: int) -> None:
    """Make it take a configuration with this code, and act on it only after it was asked that many questions."""
    left = [questions]

    def take(_: FakeBird) -> bytes:
        left[0] = questions
        return b"0002-Reading\n0022-Undo scheduled\n%04d Reconfiguration\n" % code

    def status(bird: FakeBird) -> bytes:
        left[0] -= 1
        if left[0] == 0:
            bird.obey("configure timeout 4")
        return bird.obey("show status").encode()

    bird.answers = {"configure timeout": take, "show status": status}


@pytest.mark.parametrize("code", [pytest.param(4, id="0004 in progress"), pytest.param(5, id="0005 queued")])
def test_a_busy_bird_is_waited_for(fake: Subject, code: int) -> None:
    busy(bird_of(fake), code, questions=4)
    routing, said = publish(fake, A)
    assert routing.held == {A}
    assert said.count("show status") == 4
    assert said[-1] == "configure confirm"


def test_a_bird_that_stays_busy_is_told_to_drop_it_so_that_it_can_be_told_again(fake: Subject) -> None:
    """Otherwise it might do it later, unconfirmed, and undo it by itself."""
    busy(bird_of(fake), 5, questions=100_000)
    with pytest.raises(BirdError, match=r"lacks 10\.50\.0\.1"):
        publish(fake, A)
    assert "configure undo" in fake.said


def test_a_bird_that_says_done_and_does_not_do_it_is_told_to_undo_it(fake: Subject) -> None:
    publish(fake, A)
    bird_of(fake).answers = {"configure timeout": b"0002-Reading\n0003 Reconfigured\n"}
    with pytest.raises(BirdError, match=r"lacks 10\.50\.0\.2.*it was undone"):
        publish(fake, A, B)
    assert "configure undo" in fake.said
    assert fake.include.read_text() == render_include({A})


def test_a_route_that_nobody_asked_for_is_not_confirmed(fake: Subject) -> None:
    bird_of(fake).extra_routes = ("10.50.0.9/32",)
    with pytest.raises(BirdError, match=r"still holds 10\.50\.0\.9"):
        publish(fake, A)
    assert "configure undo" in fake.said
    assert not fake.include.exists()


def test_a_router_that_is_not_told_everything_is_shown_and_nothing_is_undone(fake: Subject) -> None:
    bird_of(fake).established = True
    bird_of(fake).untold = ("10.50.0.2/32",)
    routing, said = publish(fake, A, B)
    assert routing.exported == {A}
    assert said[-1] == "configure confirm"


def test_a_session_that_ends_between_two_questions_is_asked_about_again(fake: Subject) -> None:
    bird = bird_of(fake)
    bird.established = True

    def ended(bird: FakeBird) -> bytes:
        bird.established = False
        return b"9001 No valid tables\n"

    bird.answers = {"show route protocol 'balanced_vips4' exported": ended}
    routing, said = publish(fake, A)
    assert routing.held == {A}
    assert not routing.exported
    assert said[-1] == "configure confirm"


def test_a_question_that_a_reconfiguration_cut_off_is_asked_again(fake: Subject) -> None:
    publish(fake, A)
    bird = bird_of(fake)

    def cut_off(bird: FakeBird) -> bytes:
        bird.answers = {}
        return b"8004 Stopped due to reconfiguration\n"

    bird.answers = {"show route protocol": cut_off}
    assert observe(fake).held == {A}


@pytest.mark.parametrize(
    ("command", "answer", "code"),
    [
        pytest.param("configure check", b"8007 Access denied\n", 8007, id="8007 no right to ask"),
        pytest.param("configure timeout", b"0002-Reading\n0006 Shutting down\n", 6, id="0006 shutting down"),
        pytest.param("configure confirm", b"0019 Nothing to do\n", 19, id="0019 confirmed too late"),
    ],
)
def test_a_refusal_is_an_error_and_the_file_keeps_the_newest_word(
    fake: Subject, command: str, answer: bytes, code: int
) -> None:
    bird_of(fake).answers = {command: answer}
    with pytest.raises(BirdRejected) as caught:
        publish(fake, A)
    assert caught.value.code == code
    assert fake.include.read_text() == render_include({A})


def test_a_file_that_bird_refuses_only_when_it_reads_it_is_taken_back(fake: Subject) -> None:
    publish(fake, A)
    bird_of(fake).answers = {"configure timeout": b"0002-Reading\n8002 bird.conf:1:1 no\n"}
    with pytest.raises(BirdRejected, match="8002"):
        publish(fake, A, B)
    assert fake.include.read_text() == render_include({A})
    assert "configure undo" not in fake.said


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="silence"),
        pytest.param(b"1000-BIRD 9.9.9\n1011-Router", id="half an answer"),
        pytest.param(b"+Reconfigured\n", id="asynchronous lines only"),
    ],
)
def test_no_whole_answer_in_time_means_unreachable(fake: Subject, answer: Answer) -> None:
    bird_of(fake).answers = {"show status": answer}
    with pytest.raises(BirdUnreachable, match="does not answer 'show status' within 1 s"):
        observe(fake)


def test_a_bird_that_falls_silent_half_way_finds_the_newest_word_when_it_starts_anew(fake: Subject) -> None:
    publish(fake, A, B)
    bird_of(fake).answers = {"show protocols": None}
    with pytest.raises(BirdUnreachable):
        publish(fake, A)
    assert fake.include.read_text() == render_include({A})


def test_an_answer_in_small_pieces_with_asynchronous_lines_between_is_one_answer(fake: Subject) -> None:
    bird_of(fake).piece_bytes = 3
    bird_of(fake).noise = b"+Reconfigured\n"
    assert publish(fake, A, B)[0].held == {A, B}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\n", id="another protocol"),
        pytest.param(b"0000 \n0000 \n", id="two answers"),
        pytest.param(b"0000 \n", id="an answer to another question"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused_and_the_next_one_is_heard(fake: Subject, answer: bytes) -> None:
    async def work() -> None:
        with closing(fake.control()) as control:
            announcer = Announcer(fake.config, control)
            bird_of(fake).answers = {"show status": answer}
            with pytest.raises(BirdUnexpected):
                await announcer.observe()
            bird_of(fake).answers = {}
            assert (await announcer.observe()).version == "9.9.9"

    asyncio.run(work())


def test_a_late_answer_is_not_taken_for_that_of_the_next_command(fake: Subject) -> None:
    async def work() -> None:
        with closing(fake.control()) as control:
            announcer = Announcer(fake.config, control)
            bird_of(fake).answers = {"show status": b"1000-BIRD 1.1.1\n"}
            with pytest.raises(BirdUnreachable):
                await announcer.observe()
            bird_of(fake).answers = {}
            await asyncio.sleep(SILENCE_S)  # before that it is not asked again
            assert (await announcer.observe()).version == "9.9.9"

    asyncio.run(work())


def test_a_directory_that_cannot_be_written_is_an_error_of_ours(fake: Subject, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bird = fake.config.bird.model_copy(update={"include_dir": tmp_path / "file" / "include"})
    subject = Subject(fake.bird, fake.config.model_copy(update={"bird": bird}))
    with pytest.raises(BirdError, match=r"cannot .*include.*full or read-only disk"):
        publish(subject, A)


def test_hand_made_networks_in_our_protocol_are_overwritten(fake: Subject) -> None:
    """They are no reason to stop: reading the file again removes them."""
    publish(fake, A)
    bird = bird_of(fake)
    bird.extra_routes = ("10.50.0.0/24",)

    def reread(bird: FakeBird) -> bytes:
        bird.extra_routes = ()
        return bird.obey("configure timeout 4").encode()

    bird.answers = {
        "show route protocol 'balanced_vips4' where": b"0000 \n",
        "show route protocol 'balanced_vips4'": lambda bird: (
            b"1007-10.50.0.0/24 blackhole [x] * (200)\n0000 \n"
            if bird.extra_routes
            else bird.obey("show route protocol 'balanced_vips4'").encode()
        ),
        "configure timeout": reread,
    }
    assert publish(fake, A)[0].held == {A}
