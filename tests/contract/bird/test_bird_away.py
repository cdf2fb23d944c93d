"""BIRD dies, hangs, is exchanged, or is taken care of by somebody else."""

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from appliance.bird.announce import Announcer
from appliance.errors import BirdUnreachable
from appliance.model.routing import Announcement
from tests.contract.bird.real_bird import RealBird, eventually
from tests.contract.bird.subject import VERSIONS, Subject, make
from tests.contract.bird.talk import announcing, established, learned, observe, publish, say, until, updates
from tests.lab.birds import bird_binaries

A, B, C = (ip_address(text) for text in ("10.50.0.1", "10.50.0.2", "2001:db8:50::1"))
ALL = Announcement(frozenset({A, B, C}))
WITHOUT_A = Announcement(frozenset({B, C}))
Pair = tuple[Subject, RealBird]


# Fault 36: somebody else's hand.


def test_fault_36_a_hand_made_disable_is_told_and_put_right(subject: Subject) -> None:
    publish(subject, ALL)
    say(subject, "disable balanced_vips4")
    eventually(lambda: observe(subject).held == {C})
    assert observe(subject).disabled == {"balanced_vips4"}
    routing = publish(subject, ALL)
    assert (routing.held, routing.disabled) == (ALL.vips, frozenset())


def test_fault_36_a_hand_made_undo_is_put_right(subject: Subject) -> None:
    publish(subject, Announcement(frozenset({A})))
    publish(subject, ALL)
    say(subject, "configure undo")
    eventually(lambda: observe(subject).held == {A})
    assert publish(subject, ALL).held == ALL.vips


# Faults 31, 32, 33: BIRD is gone, or hangs.


def test_fault_31_a_bird_that_was_killed_starts_with_the_newest_word(pair: Pair) -> None:
    subject, router = pair
    assert isinstance(subject.bird, RealBird)
    eventually(lambda: established(subject))
    publish(subject, Announcement(frozenset({A, B})))
    eventually(lambda: learned(router) == {"10.50.0.1/32", "10.50.0.2/32"})
    subject.bird.send(signal.SIGKILL)
    eventually(lambda: learned(router) == set())
    with pytest.raises(BirdUnreachable):
        publish(subject, Announcement(frozenset({B})))
    subject.bird.start()
    assert observe(subject).held == {B}
    eventually(lambda: learned(router) == {"10.50.0.2/32"})
    assert updates(router) == (1, 0)  # since the session is up again: what was withdrawn never came back


def test_fault_31_a_restart_is_noticed_and_verified(subject: Subject) -> None:
    async def story() -> None:
        async with announcing(subject) as announcer:
            await announcer.publish(ALL)
            read: list[object] = []

            async def look() -> None:
                async for _ in announcer.changes():
                    try:
                        read.append((await announcer.observe()).held)
                    except BirdUnreachable:
                        read.append("nothing")

            task = asyncio.create_task(look())
            await asyncio.to_thread(subject.bird.stop)
            await asyncio.to_thread(subject.bird.start)
            await until(lambda: read and read[-1] == ALL.vips, 20)
            task.cancel()

    asyncio.run(story())


def test_fault_32_the_end_and_the_return_of_bird_are_noticed(subject: Subject) -> None:
    async def story() -> None:
        async with announcing(subject) as announcer:
            await announcer.publish(ALL)
            seen: list[float] = []
            task = asyncio.create_task(follow(announcer, seen.append))
            await asyncio.sleep(0)
            await announcer.observe()  # behind the first look
            await asyncio.to_thread(subject.bird.stop)
            await until(lambda: len(seen) == 1, 20)
            with pytest.raises(BirdUnreachable, match="systemctl status bird"):
                await announcer.observe()
            await asyncio.to_thread(subject.bird.start)
            await until(lambda: len(seen) == 2, 20)
            assert (await announcer.publish(ALL)).held == ALL.vips
            task.cancel()

    asyncio.run(story())


async def follow(announcer: Announcer, seen_at: Callable[[float], None]) -> None:
    async for _ in announcer.changes():
        seen_at(time.monotonic())


def test_fault_33_a_hung_bird_costs_one_time_out_and_is_noticed(pair: Pair) -> None:
    subject, _ = pair
    bird = subject.bird
    assert isinstance(bird, RealBird)

    async def story() -> None:
        async with announcing(subject) as announcer:
            await announcer.publish(ALL)
            seen: list[float] = []
            task = asyncio.create_task(follow(announcer, seen.append))
            await asyncio.sleep(0)
            await announcer.observe()  # behind the first look
            bird.send(signal.SIGSTOP)
            started_s = time.monotonic()
            await until(lambda: seen, 20)
            for _ in range(10):  # as many questions as a few passes have
                with pytest.raises(BirdUnreachable, match="does not answer"):
                    await announcer.observe()
                with pytest.raises(BirdUnreachable, match="does not answer"):
                    await announcer.publish(WITHOUT_A)
            patience_s = subject.config.bird.timeout_s
            assert time.monotonic() - started_s < 10 * patience_s, "twenty that wait take 20"
            bird.send(signal.SIGCONT)
            await until(lambda: len(seen) == 2, 20)
            assert (await announcer.publish(WITHOUT_A)).held == {B, C}
            task.cancel()

    asyncio.run(story())


# Fault 37: another BIRD.


@pytest.mark.parametrize(("old", "new"), [("2.0", "2.17"), ("2.17", "3.1"), ("3.1", "2.17")])
def test_fault_37_another_version_goes_on_with_the_same_files(folder: Path, old: str, new: str) -> None:
    subject = make(old, folder)
    assert {old, new} <= set(VERSIONS)
    assert isinstance(subject.bird, RealBird)

    async def story() -> None:
        async with announcing(subject) as announcer:
            first = await announcer.publish(replace(ALL, node_avoided=True))
            await asyncio.to_thread(subject.bird.stop)
            successor = RealBird(bird_binaries()[new], subject.bird.socket.parent)
            await asyncio.to_thread(successor.start)
            subject.bird = successor
            routing = await announcer.observe()
            assert routing.held == routing.depreferred == ALL.vips
            assert first.version.startswith(old)
            assert routing.version.startswith(new)
            assert (await announcer.publish(WITHOUT_A)).held == {B, C}

    subject.bird.start()
    try:
        asyncio.run(story())
    finally:
        subject.bird.stop()
