"""The collector leaves alone what a director holds for long, and still finds cycles that are young."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from appliance.director.garbage import FULL_EVERY_S, collect_seldom, spare_what_lasts

Play = Callable[[Coroutine[Any, Any, None]], None]


class Ring:
    """A value that holds itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def full_collections() -> int:
    collections: int = gc.get_stats()[2]["collections"]
    return collections


def test_values_that_stay_bring_no_full_collection_on() -> None:
    gc.collect()
    spare_what_lasts()
    before = full_collections()
    kept = [[number] for number in range(300_000)]
    assert full_collections() == before
    assert len(kept) == 300_000


def test_without_it_they_would() -> None:
    gc.collect()
    before = full_collections()
    kept = [[number] for number in range(300_000)]
    assert full_collections() > before
    assert len(kept) == 300_000


def test_a_cycle_that_is_young_is_found_as_ever() -> None:
    spare_what_lasts()
    gone = weakref.ref(Ring())
    kept = [[number] for number in range(50_000)]
    assert gone() is None
    assert len(kept) == 50_000


def test_a_full_collection_comes_seldom(play: Play) -> None:
    async def story() -> None:
        task = asyncio.create_task(collect_seldom())
        before = full_collections()
        await asyncio.sleep(FULL_EVERY_S - 1)
        assert full_collections() == before
        await asyncio.sleep(FULL_EVERY_S)
        assert full_collections() == before + 1
        task.cancel()

    spare_what_lasts()
    play(story())
