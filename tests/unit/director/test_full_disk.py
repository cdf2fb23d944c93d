"""A runtime directory that takes no file: serving goes on, and the status says what is lost."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.unit.director.harness import Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
CONDITION = "drain clock"


def test_fault_38_a_clock_of_drains_that_cannot_be_written_is_only_a_condition(tmp_path: Path, play: Play) -> None:
    """The drain itself goes on by the clock in memory; the condition ends with the first file that can be written."""
    gone = tmp_path / "gone"
    node = Node(gone)

    async def story() -> None:
        async with node.running() as director:
            node.want(web(backends=3))
            await until(lambda: node.router.held)
            node.want(web(backends=2))
            await until(lambda: CONDITION in director.context.standing.all)
            assert "No such file or directory" in director.context.standing.all[CONDITION]
            gone.mkdir()
            drained = node.settings.drain_time_s + node.settings.resync_s
            await until(lambda: len(node.ipvs.dump()[key()].destinations) == 2, within_s=drained)
            await until(lambda: not director.context.standing.all)
            assert len(node.router.history) == 1

    play(story())
