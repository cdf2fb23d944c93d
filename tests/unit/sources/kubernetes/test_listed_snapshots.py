"""Whether a snapshot was made from a list, which may have left something out, or from events, which say what went."""

import asyncio

from appliance.model.desired import Snapshot
from tests.unit.sources.kubernetes.fake_api import FakeApi, endpoint_slice, service
from tests.unit.sources.kubernetes.watched import Watched, play, watching

WEB = (service("web"), endpoint_slice("web-1", "web", "10.1.0.1", "10.1.0.2"))


def listed(watched: Watched) -> list[bool]:
    return [item.listed for item in watched.said if isinstance(item, Snapshot)]


def test_fault_12_the_first_snapshot_is_listed_and_what_events_change_is_not() -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            await asyncio.sleep(1)
            api.put(endpoint_slice("web-1", "web", "10.1.0.3"))
            await watched.until(lambda: len(watched.said) > 1)
            await asyncio.sleep(1)
            api.delete("Service", "web")
            await watched.until(lambda: not watched.snapshot.services)
            assert listed(watched) == [True, False, False]

    play(story())


def test_fault_10_what_is_missing_from_a_new_list_after_410_is_listed() -> None:
    async def story() -> None:
        api = FakeApi(*WEB, service("other", vip="10.50.0.2"))
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            await asyncio.sleep(1)
            api.delete("Service", "other")
            api.compact()
            api.drop()
            await watched.until(lambda: len(watched.snapshot.services) == 1)
            assert listed(watched)[-1]
            await asyncio.sleep(1)
            api.put(endpoint_slice("web-1", "web", "10.1.0.3"))
            await watched.until(lambda: watched.backends == {"default/web": ["10.1.0.3"]})
            assert not listed(watched)[-1]

    play(story())


def test_a_list_that_changes_nothing_does_not_make_the_next_event_a_list() -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            await asyncio.sleep(1)
            api.compact()
            api.drop()
            await asyncio.sleep(600)
            api.delete("Service", "web")
            await watched.until(lambda: not watched.snapshot.services)
            assert listed(watched) == [True, False]

    play(story())
