"""Events as an API server holds them: each test runs against the double and against a real one."""

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.config.load import load
from appliance.director import wiring
from appliance.errors import SourceError
from appliance.model.happening import Happening, Reason
from appliance.sources.kubernetes.events import Limits
from appliance.sources.kubernetes.objects import Metadata
from appliance.sources.kubernetes.publish import EventPublisher
from appliance.sources.kubernetes.transport import KubernetesCluster
from appliance.telemetry.journal import Journal
from tests.contract.kube.source_subject import WITHIN_S, run
from tests.kube.api import Api
from tests.kube.faults import Fails, Stalls
from tests.kube.objects import Object, service

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
FAST = Limits(per_s=100.0, service_burst=100)


class Telling:
    """A publisher that writes to a server, the Services that it knows, and what came of it."""

    def __init__(self, api: Api, publisher: EventPublisher, subjects: dict[str, Metadata]) -> None:
        self.api = api
        self.publisher = publisher
        self.subjects = subjects
        self.outcomes: list[SourceError | None] = []

    async def listen(self) -> None:
        async for outcome in self.publisher.outcomes():
            self.outcomes.append(outcome)

    def know(self, made: Mapping[str, Any]) -> str:
        """Let the publisher know a Service as the server stored it; returns its owner."""
        meta = made["metadata"]
        owner = f"{meta['namespace']}/{meta['name']}"
        self.subjects[owner] = Metadata(
            meta["name"], meta["namespace"], uid=meta["uid"], resource_version=meta["resourceVersion"]
        )
        return owner

    def tell(self, owner: str, reason: Reason, text: str) -> None:
        self.publisher.report([Happening(owner, reason, text)])

    async def events(self, count: int, *, written: int = 0) -> list[Object]:
        """The Events of the test's namespace, once there are so many and so many requests have succeeded."""
        await self.until(lambda: self.publisher.written >= written)
        found: list[Object] = []

        def all_there() -> bool:
            found[:] = self.api.list("Event")["items"]
            return len(found) >= count

        await self.until(all_there)
        assert len(found) == count
        return found

    async def until(self, condition: Callable[[], object], within_s: float = WITHIN_S) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + within_s
        while not condition():
            assert loop.time() < deadline_s, f"not within {within_s} s: {self.outcomes}"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def telling(api: Api, kubeconfig: Path | None = None) -> AsyncIterator[Telling]:
    """A publisher that writes while the block runs."""
    with tempfile.TemporaryDirectory() as scratch:
        subjects: dict[str, Metadata] = {}
        cluster = KubernetesCluster(kubeconfig or api.kubeconfig(), None, Path(scratch))
        times = (NOON + timedelta(seconds=second) for second in range(10_000))
        publisher = EventPublisher(cluster, subjects.get, "lb1", limits=FAST, now=lambda: next(times))
        subject = Telling(api, publisher, subjects)
        task = asyncio.create_task(subject.listen())
        try:
            yield subject
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_an_event_is_found_by_the_service_that_it_is_about(api: Api) -> None:
    """As ``kubectl describe service`` looks for it."""

    async def story() -> None:
        made = api.create(service("web"))
        async with telling(api) as subject:
            subject.tell(subject.know(made), Reason.WITHDRAWN, "10.50.0.1: 0 of 1 needed backends ready")
            await subject.events(1)
            about = f"involvedObject.uid={made['metadata']['uid']},involvedObject.kind=Service"
            (event,) = api.list("Event", fieldSelector=about)["items"]
        assert (event["type"], event["reason"], event["count"]) == ("Warning", "Withdrawn", 1)
        assert event["message"] == "10.50.0.1: 0 of 1 needed backends ready"
        assert event["source"] == {"component": "balanced-director", "host": "lb1"}
        assert event["involvedObject"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        assert event["firstTimestamp"] == "2026-01-02T12:00:00Z"

    run(story())


def test_what_happens_again_counts_the_event_up(api: Api) -> None:
    async def story() -> None:
        made = api.create(service("web"))
        async with telling(api) as subject:
            owner = subject.know(made)
            for number in (1, 2, 3):
                subject.tell(owner, Reason.ANNOUNCED, f"text {number}")
                await subject.events(1, written=number)
            (event,) = await subject.events(1)
        assert (event["count"], event["message"]) == (3, "text 3")
        assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-01-02T12:00:00Z", "2026-01-02T12:00:02Z")

    run(story())


def test_an_event_that_the_server_has_forgotten_begins_anew(api: Api) -> None:
    """Servers delete Events after an hour."""

    async def story() -> None:
        made = api.create(service("web"))
        async with telling(api) as subject:
            owner = subject.know(made)
            subject.tell(owner, Reason.ANNOUNCED, "first")
            (old,) = await subject.events(1)
            api.delete("Event", api.namespace, old["metadata"]["name"])
            subject.tell(owner, Reason.ANNOUNCED, "second")
            (new,) = await subject.events(1, written=2)
        assert (new["count"], new["message"]) == (1, "second")
        assert subject.outcomes == []

    run(story())


def test_the_service_itself_is_never_touched(api: Api) -> None:
    async def story() -> None:
        made = api.create(service("web"))
        async with telling(api) as subject:
            for reason in Reason:
                subject.tell(subject.know(made), reason, "text")
            await subject.events(len(Reason))
        assert api.get("Service", "web") == made

    run(story())


def test_nobody_is_told_about_services_that_are_not_of_the_cluster(api: Api) -> None:
    async def story() -> None:
        made = api.create(service("web"))
        async with telling(api) as subject:
            subject.tell(f"{api.namespace}/of-a-file", Reason.ANNOUNCED, "text")
            subject.tell(subject.know(made), Reason.ANNOUNCED, "text")
            (event,) = await subject.events(1)
        assert event["involvedObject"]["name"] == "web"

    run(story())


def test_a_service_that_is_gone_is_told_about_as_long_as_its_namespace_stands(api: Api) -> None:
    async def story() -> None:
        made = api.create(service("web"))
        async with telling(api) as subject:
            owner = subject.know(made)
            subject.tell(owner, Reason.ANNOUNCED, "there")
            await subject.events(1)
            api.delete("Service", api.namespace, "web")
            subject.subjects.clear()
            subject.tell(owner, Reason.DELETED_SERVICE, "gone")
            events = await subject.events(2)
        assert {each["involvedObject"]["uid"] for each in events} == {made["metadata"]["uid"]}

    run(story())


def test_a_director_without_the_right_to_write_events_says_so_with_the_remedy(api: Api) -> None:
    """The user ``director`` of the real server has no rights at all; the double is told to refuse."""
    if hasattr(api.server, "misbehave"):
        api.server.misbehave(Fails(403), verb="create", kind="Event")

    async def story() -> None:
        made = api.create(service("web"))
        async with telling(api, api.kubeconfig("director")) as subject:
            owner = subject.know(made)
            for number in range(5):
                subject.tell(owner, list(Reason)[number], "text")
            await subject.until(lambda: subject.outcomes)
        error = subject.outcomes[0]
        assert error is not None
        assert "403 to create" in error.message
        assert "balanced manifests director" in error.hint
        assert subject.publisher.dropped >= 3
        assert api.list("Event")["items"] == []

    run(story())


def test_one_refusal_is_daily_business(double_api: Api) -> None:
    """A namespace that is going takes no Events; those of others are written all the same."""
    double_api.server.misbehave(Fails(403), verb="create", kind="Event", times=1)  # type: ignore[attr-defined]  # only the double can

    async def story() -> None:
        made = double_api.create(service("web"))
        async with telling(double_api) as subject:
            subject.tell(subject.know(made), Reason.WITHDRAWN, "refused")
            subject.tell(subject.know(made), Reason.CREATED_SERVICE, "written")
            (event,) = await subject.events(1)
        assert event["reason"] == "CreatedIPVSService"
        assert (subject.outcomes, subject.publisher.dropped) == ([], 1)

    run(story())


def test_a_server_that_is_away_is_told_later_what_happened_meanwhile(double_api: Api) -> None:
    """Nothing is lost, an error is said, and so is its end."""

    async def story() -> None:
        made = double_api.create(service("web"))
        async with telling(double_api) as subject:
            owner = subject.know(made)
            double_api.server.stop()
            for number in range(5):
                subject.tell(owner, Reason.ANNOUNCED, f"text {number}")
            await subject.until(lambda: subject.outcomes)
            double_api.server.start()
            (event,) = await subject.events(1)
            await subject.until(lambda: subject.outcomes[-1] is None, within_s=2 * WITHIN_S)
        assert event["count"] == 5
        assert subject.publisher.dropped == 0

    run(story())


def test_a_write_that_is_not_answered_is_given_up(double_api: Api) -> None:
    """And tried again over another connection."""
    double_api.server.misbehave(Stalls(), verb="create", kind="Event", times=1)  # type: ignore[attr-defined]  # only the double can

    async def story() -> None:
        made = double_api.create(service("web"))
        async with telling(double_api) as subject:
            subject.tell(subject.know(made), Reason.ANNOUNCED, "text")
            (event,) = await subject.events(1)
        assert event["count"] == 1

    run(story())


@pytest.mark.parametrize(("events", "wanted"), [("", True), (", events: false", False)], ids=["by default", "disabled"])
def test_a_director_on_a_cluster_publishes_unless_told_not_to(
    double_api: Api, tmp_path: Path, events: str, *, wanted: bool
) -> None:
    (tmp_path / "appliance.yaml").write_text(
        "node: {router_id: 10.0.0.11}\n"
        "pools: [{name: public, cidrs: [10.50.0.0/24]}]\n"
        f"sources: {{kubernetes: {{kubeconfig: {double_api.kubeconfig()}{events}}}}}\n"
        "bgp: {local_as: 64512, peers: [{address: 10.0.0.1, as: 64500}]}\n"
    )
    config = load(tmp_path / "appliance.yaml")

    async def publisher() -> object:
        source = wiring.sources(config, Journal(io.StringIO()))["kubernetes"]
        return wiring._publisher(config, source)

    assert isinstance(asyncio.run(publisher()), EventPublisher) == wanted
