"""Whose mistake makes a node look broken: the operator's own does, that of somebody in a cluster does not."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from appliance.director.refusals import MAX_TOLD
from appliance.director.status import status
from appliance.model.desired import Problem, Snapshot
from tests.unit.director.harness import Node, until, web
from tests.unit.director.scraping import page, scraper

Play = Callable[[Coroutine[Any, Any, None]], None]
REFUSED = "balanced_director_refused"


def bad(name: str = "bad", *, in_cluster: bool = True) -> Problem:
    where = f"service default/{name}" if in_cluster else f"{name}.yaml:3"
    return Problem(where, "targetPort 81 differs from port 80", "mend it", f"default/{name}", in_cluster=in_cluster)


def test_fault_15_a_mistake_in_a_cluster_is_listed_counted_and_told_and_degrades_nothing(
    node: Node, play: Play
) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.source.say(Snapshot("kubernetes", (web(),), (bad(),)))
            await until(lambda: node.router.held)
            found = status(director.context, "0.1.0")
            assert not found.degraded
            assert found.conditions == {}
            assert found.problems == (str(bad()),)
            scraped = await page(scraper(node, director))
            assert scraped.value(REFUSED, place="cluster") == 1
            assert scraped.value(REFUSED, place="files") == 0
            assert scraped.value("balanced_director_degraded") == 0
            lines = [line for line in node.log.getvalue().splitlines() if "targetPort 81" in line]
            assert len(lines) == 1
            assert "refused OWNER=default/bad" in lines[0]

    play(story())


def test_fault_14_what_is_refused_again_and_again_is_one_line_in_the_journal(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running():
            for count in (1, 2, 3):
                node.source.say(Snapshot("kubernetes", (web(backends=count),), (bad(),)))
            await until(lambda: node.router.held)
            assert node.log.getvalue().count("targetPort 81") == 1

    play(story())


def test_a_mistake_of_the_operators_own_degrades_the_node_until_it_is_mended(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.source.say(Snapshot("file", (web(),), (bad("worse"), bad(in_cluster=False))))
            await until(lambda: node.router.held)
            found = status(director.context, "0.1.0")
            assert found.degraded
            assert found.conditions == {"desired state": f"refused: {bad(in_cluster=False)}"}
            assert len(found.problems) == 2
            node.source.say(Snapshot("file", (web(),), (bad("worse"),)))
            await until(lambda: not status(director.context, "0.1.0").degraded)

    play(story())


@pytest.mark.parametrize("number", [MAX_TOLD, MAX_TOLD + 1, 5 * MAX_TOLD])
def test_many_at_once_are_told_by_their_number(node: Node, play: Play, number: int) -> None:
    async def story() -> None:
        async with node.running():
            problems = tuple(bad(f"bad-{each}") for each in range(number))
            node.source.say(Snapshot("kubernetes", (web(),), problems))
            await until(lambda: node.router.held)
            told = [line for line in node.log.getvalue().splitlines() if " refused " in line]
            assert len(told) == min(number, MAX_TOLD + 1)
            assert (f"{number - MAX_TOLD} more" in told[-1]) == (number > MAX_TOLD)

    play(story())
