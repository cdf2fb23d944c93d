"""Allocators on a server over real sockets, and what a test does to both."""

import asyncio
import io
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from appliance.config.load import load_ipam
from appliance.ipam.wiring import Candidate, cluster_of
from appliance.telemetry.journal import Journal
from tests.kube.api import Api
from tests.kube.objects import Object, resource, service

WITHIN_S = 30.0
SERVICES = resource("Service")
_numbers = iter(range(1, 10_000))


def config_file(api: Api, folder: Path, pools: str, lease: str = "") -> Path:
    """A configuration of an allocator for the server; its Lease stands in the test's namespace."""
    path = folder / f"ipam-{next(_numbers)}.yaml"
    terms = lease or "duration_s: 3, renew_within_s: 2, retry_s: 0.2"
    path.write_text(
        f"ipam:\n  kubeconfig: {api.kubeconfig()}\n  pools: {pools}\n  metrics_port: null\n  health_port: null\n"
        f"  address: 127.0.0.1\n  lease: {{namespace: {api.namespace}, {terms}}}\n"
    )
    return path


def addresses(item: Object) -> list[str]:
    """The addresses in the status of a Service."""
    return [each["ip"] for each in (item["status"].get("loadBalancer") or {}).get("ingress") or ()]


class Allocating:
    """An allocator that runs in this process."""

    def __init__(self, api: Api, candidate: Candidate, lines: io.StringIO) -> None:
        self.api = api
        self.candidate = candidate
        self.lines = lines
        self.stop = asyncio.Event()

    async def held(self, name: str) -> list[str]:
        """What a Service of the test's namespace holds."""
        return addresses(await asyncio.to_thread(self.api.get, "Service", name))

    async def until_held(self, name: str, *wanted: str) -> None:
        """Wait until a Service holds exactly these."""
        await self.until(lambda: self._holds(name, wanted))

    async def until(self, condition: Callable[[], Any], within_s: float = WITHIN_S) -> None:
        """Wait until the condition, a plain one or a coroutine, holds.

        Raises:
            AssertionError: it does not within the time.
        """
        deadline_s = time.monotonic() + within_s
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            assert time.monotonic() < deadline_s, f"not within {within_s} s: {self.lines.getvalue()}"
            await asyncio.sleep(0.02)

    async def events(self, name: str) -> dict[str, str]:
        """The Events on a Service: reason -> message."""
        found = (await asyncio.to_thread(self.api.list, "Event"))["items"]
        return {each["reason"]: each["message"] for each in found if each["involvedObject"]["name"] == name}

    async def until_event(self, name: str, reason: str) -> str:
        """Wait for an Event; returns its message."""
        deadline_s = time.monotonic() + WITHIN_S
        while reason not in (found := await self.events(name)):
            assert time.monotonic() < deadline_s, f"{name}: {found}: {self.lines.getvalue()}"
            await asyncio.sleep(0.05)
        return found[reason]

    async def _holds(self, name: str, wanted: tuple[str, ...]) -> bool:
        return await self.held(name) == list(wanted)


@asynccontextmanager
async def allocating(api: Api, pools: str, name: str = "a") -> AsyncIterator[Allocating]:
    """An allocator with these pools that runs while the block does, and stops in good order."""
    with tempfile.TemporaryDirectory() as scratch:
        async with configured(api, config_file(api, Path(scratch), pools), name) as found:
            yield found


@asynccontextmanager
async def configured(api: Api, path: Path, name: str = "a") -> AsyncIterator[Allocating]:
    """As allocating, with a whole configuration."""
    config = load_ipam(path)
    lines = io.StringIO()
    candidate = Candidate(config, cluster_of(config, path.parent), Journal(lines), name, time.monotonic)
    found = Allocating(api, candidate, lines)
    leading = asyncio.create_task(candidate.elector.lead(candidate.lead, found.stop))
    telling = asyncio.create_task(candidate.tell_events())
    try:
        yield found
    finally:
        found.stop.set()
        await leading
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


def fresh(name: str, **fields: Any) -> Object:
    """A Service that has no address yet."""
    return service(name, vips=(), **fields)


def pools(api: Api, *addresses: str, **terms: object) -> str:
    """One pool for the test's namespace, as it is written."""
    return json.dumps([{"name": "public", "addresses": list(addresses), "namespaces": [api.namespace], **terms}])
