"""Puts what can be seen of a director on its two HTTP ports, and its state into the journal on SIGUSR1."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec

from appliance.director import health
from appliance.director.context import Context
from appliance.director.scrape import Scraper
from appliance.telemetry import exposition, messages
from appliance.telemetry.http import Answer, Endpoint, Listeners, Route, serve
from appliance.telemetry.meter import Meter


@dataclass(frozen=True, slots=True)
class Observation:
    """What outlives a reload: listening sockets, and what was counted."""

    listeners: Listeners
    meter: Meter

    def answering(
        self, places: Mapping[str, Endpoint], scraper: Scraper, context: Context
    ) -> list[Coroutine[Any, Any, None]]:
        """The servers for these places, ``metrics`` and ``health``, to be run beside the director."""
        pages = {"metrics": metrics_routes(scraper), "health": health_routes(context, lambda: datetime.now(UTC))}
        return [serve(self.listeners.socket(place), pages[what]) for what, place in places.items()]


def metrics_routes(scraper: Scraper) -> dict[str, Route]:
    """``/metrics``."""

    async def metrics() -> Answer:
        return Answer(await scraper.scrape(), content_type=exposition.CONTENT_TYPE)

    return {"/metrics": metrics}


def health_routes(context: Context, now: Callable[[], datetime]) -> dict[str, Route]:
    """``/healthz`` and ``/checks`` as BalanceD has them, and ``/readyz``. ``now`` is the time of day."""

    async def healthz() -> Answer:
        if health.is_healthy(context):
            return Answer(["OK\n"])
        return Answer(["Unhealthy\n"], HTTPStatus.INTERNAL_SERVER_ERROR)

    async def readyz() -> Answer:
        missing = health.unready(context)
        if missing:
            return Answer([f"{each}\n" for each in missing], HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer(["OK\n"])

    async def checks() -> Answer:
        text = msgspec.json.encode(health.checks(context, now())).decode()
        return Answer([text, "\n"], content_type="application/json")

    return {"/healthz": healthz, "/readyz": readyz, "/checks": checks}


def tell_on_signal(context: Context, version: str) -> None:
    """From now on SIGUSR1 puts the state of this director into the journal."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell, context, version)


def tell(context: Context, version: str) -> None:
    """Put the state into the journal."""
    for line in health.dump(context, version):
        context.journal.tell(messages.STATE, text=line)


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of ``work`` until cancelled; the first that fails ends the others."""
    async with asyncio.TaskGroup() as tasks:
        for each in work:
            tasks.create_task(each)
