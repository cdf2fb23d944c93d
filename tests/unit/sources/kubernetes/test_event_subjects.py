"""Whom Events are about: Services as the source knows them, also those that it cannot serve."""

import asyncio
from collections.abc import Mapping
from typing import Self

import msgspec
import pytest

from appliance.model.desired import ServiceDefaults
from appliance.model.happening import Happening, Reason
from appliance.sources.kubernetes.api import SERVICES
from appliance.sources.kubernetes.cache import Cache
from appliance.sources.kubernetes.objects import Metadata
from appliance.sources.kubernetes.publish import EventPublisher
from appliance.sources.kubernetes.wire import Item, Reader
from tests.unit.sources.kubernetes.fake_api import Object, service
from tests.unit.sources.kubernetes.watched import play


class Recorder:
    """A cluster that takes everything; ``sent`` are method, path and body."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Mapping[str, object]]] = []

    def connect(self) -> "Recorder":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, method: str, path: str, body: Mapping[str, object], *, by_key: bool = False) -> bytes:  # noqa: ARG002 - a patch of an Event has no keys
        self.sent.append((method, path, body))
        return b"{}"


@pytest.fixture
def cache() -> Cache:
    return Cache("kubernetes", ServiceDefaults())


def put(cache: Cache, given: Object, **metadata: str) -> None:
    text = msgspec.json.encode(given | {"metadata": given["metadata"] | metadata})
    item = Reader().item(SERVICES, msgspec.Raw(text), {})
    assert isinstance(item, Item)
    cache.put("services", item)


def test_a_service_is_known_with_what_identifies_it(cache: Cache) -> None:
    put(cache, service("web"), uid="u-1", resourceVersion="7")
    found = cache.metadata("default/web")
    assert found is not None
    assert (found.name, found.namespace, found.uid, found.resource_version) == ("web", "default", "u-1", "7")


def test_fault_14_a_service_that_was_never_well_formed_is_known_by_its_name(cache: Cache) -> None:
    """So that its owner can be told what is wrong with it."""
    put(cache, service("web", port="eighty"), uid="u-1", resourceVersion="7")  # type: ignore[arg-type]  # as hostile as can be
    assert cache.metadata("default/web") == Metadata("web", "default", resource_version="7")


def test_what_is_not_there_is_nobody(cache: Cache) -> None:
    assert cache.metadata("default/web") is None
    assert cache.metadata("") is None


def test_a_name_that_is_a_path_leads_nowhere_else() -> None:
    """No API server holds such a namespace; what is written goes to Events all the same."""
    cluster = Recorder()

    async def story() -> None:
        publisher = EventPublisher(cluster, lambda _: Metadata("web", "../../nodes"), "lb1")
        publisher.report([Happening("default/web", Reason.REFUSED, "text")])
        outcomes = publisher.outcomes()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await anext(outcomes)

    play(story())
    ((method, path, _),) = cluster.sent
    assert (method, path) == ("POST", "/api/v1/namespaces/..%2F..%2Fnodes/events")
