"""What probes are told: alive while passes are done, ready after the first one; and what SIGUSR1 tells."""

import asyncio
import errno
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from appliance.director.health import MAX_VIPS_TOLD, checks, dump, source_age_s
from appliance.director.loop import Director
from appliance.director.observability import health_routes, tell
from appliance.errors import SourceError
from tests.fakes.outside import FakeSource
from tests.unit.director.harness import VIP, Node, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def asked(director: Director, path: str) -> tuple[int, str]:
    answer = await health_routes(director.context, lambda: NOON)[path]()
    return answer.status, "".join(answer.pieces)


def test_health_turns_bad_when_no_pass_is_completed_and_good_again(node: Node, play: Play) -> None:
    async def story() -> None:
        node.configure(unhealthy_after_s=20.0)
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            assert await asked(director, "/healthz") == (HTTPStatus.OK, "OK\n")
            node.ipvs.fail_readings(errno.EPERM)
            await asyncio.sleep(19)
            assert await asked(director, "/healthz") == (HTTPStatus.OK, "OK\n")
            await asyncio.sleep(2)
            assert await asked(director, "/healthz") == (HTTPStatus.INTERNAL_SERVER_ERROR, "Unhealthy\n")
            assert VIP in node.router.held, "what cannot be read proves nothing"
            node.ipvs.fail_readings(0)
            await asyncio.sleep(5)
            assert await asked(director, "/healthz") == (HTTPStatus.OK, "OK\n")

    play(story())


def test_health_turns_bad_when_a_pass_never_ends(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            node.router.observe = asyncio.Event().wait  # type: ignore[assignment,method-assign]  # a BIRD that hangs
            await asyncio.sleep(node.settings.unhealthy_after_s + 10)
            assert (await asked(director, "/healthz"))[0] == HTTPStatus.INTERNAL_SERVER_ERROR

    play(story())


def test_a_director_that_waits_for_its_sources_is_healthy_and_not_ready(node: Node, play: Play) -> None:
    """To end it would not make the source speak."""

    async def story() -> None:
        async with node.running() as director:
            node.source.say(SourceError("away"))
            await asyncio.sleep(300)
            assert (await asked(director, "/healthz"))[0] == HTTPStatus.OK
            assert await asked(director, "/readyz") == (
                HTTPStatus.SERVICE_UNAVAILABLE,
                "source file has not spoken yet\n",
            )
            node.want(web())
            await until(lambda: node.router.held)
            assert await asked(director, "/readyz") == (HTTPStatus.OK, "OK\n")

    play(story())


def test_readiness_waits_for_every_source_and_for_a_pass(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            other = FakeSource()
            director.context.ports.sources["other"] = other
            node.want(web())
            await asyncio.sleep(1)
            assert (await asked(director, "/readyz"))[1] == "source other has not spoken yet\n"

    play(story())


def test_a_kernel_that_cannot_be_read_leaves_the_director_unready(node: Node, play: Play) -> None:
    async def story() -> None:
        node.ipvs.fail_readings(errno.EPERM)
        async with node.running() as director:
            node.want(web())
            await asyncio.sleep(10)
            assert (await asked(director, "/readyz"))[1] == "no pass is done yet\n"

    play(story())


def test_a_kept_state_that_stands_in_is_no_word_of_its_source(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            director.context.memory.stand_ins["file"] = NOON
            assert (await asked(director, "/readyz"))[1] == "source file has not spoken yet\n"
            assert source_age_s(director.context, "file") > 0

    play(story())


def test_checks_name_everything_that_can_be_wrong(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held)
            node.source.say(SourceError("no such directory"))
            await until(lambda: director.context.standing.all)
            await asyncio.sleep(3)
            status, text = await asked(director, "/checks")
            assert status == HTTPStatus.OK
            found = {each["name"]: each for each in json.loads(text)}
            assert found["pass"]["healthy"] is True
            assert found["pass"]["period_ns"] == 60_000_000_000
            assert "2026-01-01T11:59:59" <= found["pass"]["last_heartbeat"] <= "2026-01-01T12:00:00+00:00"
            assert found["ready"]["healthy"] is True
            assert "no such directory" in found["source file"]["message"]

    play(story())


def test_the_dump_is_json_a_line_and_names_first_what_is_not_announced(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            vips = [ip_address(f"10.50.0.{number}") for number in range(1, 255)]
            node.want(*(web(vip, ready=0 if vip == vips[200] else 2, backends=2) for vip in vips))
            await until(lambda: len(node.router.held) == len(vips) - 1)
            lines = list(dump(director.context, "0.1.0"))
            whole = json.loads(lines[0].partition(": ")[2])
            assert (whole["node"], whole["vips"]) == ("d1", len(vips))
            first = json.loads(lines[1].partition(": ")[2])
            assert (first["vip"], first["state"]) == (str(vips[200]), "withdrawn")
            assert len(lines) == MAX_VIPS_TOLD + 2
            assert lines[-1] == f"and {len(vips) - MAX_VIPS_TOLD} VIPs more, see balanced status"
            tell(director.context, "0.1.0")
            assert lines[1] in node.log.getvalue()

    play(story())


def test_checks_list_a_name_once(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            await asyncio.sleep(1)
            node.source.say(SourceError("away"))
            await until(lambda: director.context.standing.all)
            names = [each["name"] for each in checks(director.context, NOON)]
            assert sorted(names) == sorted(set(names))

    play(story())
