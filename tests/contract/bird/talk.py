"""What tests say to a BIRD and hear from its router, over connections that last no longer than one question."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

from appliance.bird.announce import Announcer
from appliance.bird.control import Command
from appliance.model.routing import Announcement, Routing
from tests.contract.bird.real_bird import RealBird
from tests.contract.bird.subject import Subject


@asynccontextmanager
async def announcing(subject: Subject) -> AsyncIterator[Announcer]:
    """A director's view of BIRD; leaving it is the director's death."""
    with closing(subject.control()) as control:
        subject.said = control.said
        yield Announcer(subject.config, control)


def publish(subject: Subject, announcement: Announcement) -> Routing:
    """A director starts, has this announced, and dies."""

    async def work() -> Routing:
        async with announcing(subject) as announcer:
            return await announcer.publish(announcement)

    return asyncio.run(work())


def observe(subject: Subject) -> Routing:
    """A director starts, reads BIRD, and dies."""

    async def work() -> Routing:
        async with announcing(subject) as announcer:
            return await announcer.observe()

    return asyncio.run(work())


def say(subject: Subject, text: str) -> None:
    """An operator's command."""

    async def work() -> None:
        with closing(subject.control()) as control:
            await control.ask(Command(text))

    asyncio.run(work())


async def until(condition: Callable[[], object], within_s: float) -> None:
    """Wait on real time, while the loop goes on."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s"
        await asyncio.sleep(0.01)


def learned(router: RealBird) -> set[str]:
    """The prefixes that stand in the router's table."""
    return set(re.findall(r"^(\S+/\d+)\s", router.says("show route"), flags=re.MULTILINE))


def updates(router: RealBird) -> tuple[int, int]:
    """The prefixes that the router was told of, and those that were taken back, since the session came up."""
    said = router.says("show protocols all node")
    told, gone = (sum(map(int, re.findall(rf"Import {kind}: +(\d+)", said))) for kind in ("updates", "withdraws"))
    return told, gone


def established(subject: Subject) -> bool:
    """Whether every session is."""
    return all(peer.established for peer in observe(subject).peers)
