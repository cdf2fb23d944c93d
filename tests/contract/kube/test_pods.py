"""Pods of a node and their condition: each test runs against the double and against a real API server."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.errors import SourceError
from appliance.model.happening import Happening, Reason
from appliance.model.pod import Condition, Pod, PodKey
from appliance.sources.kubernetes.objects import Metadata
from appliance.sources.kubernetes.pods import READY_CONDITION, PodSource
from appliance.sources.kubernetes.publish import EventPublisher
from appliance.sources.kubernetes.readiness import ConditionWriter
from appliance.sources.kubernetes.transport import KubernetesCluster
from appliance.tunnel.wiring import TELLER
from tests.contract.kube.source_subject import SOON, WITHIN_S, run
from tests.kube.api import Api
from tests.kube.objects import Object, pod

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def running(name: str, node: str, container: str) -> Object:
    """A pod as its kubelet reports it while its container runs."""
    made = pod(name, node)
    made["spec"]["readinessGates"] = [{"conditionType": READY_CONDITION}]
    state = {"startedAt": "2026-01-02T12:00:00Z"}
    status = {"name": "main", "containerID": container, "state": {"running": state}}
    fixed = {"image": "x", "imageID": "x", "ready": True, "restartCount": 0}
    ready = {"type": "Ready", "status": "False"}
    made["status"] = {"phase": "Running", "conditions": [ready], "containerStatuses": [{**status, **fixed}]}
    return made


class Watched:
    """The pods of a node as they are heard of, and a writer of their conditions."""

    def __init__(self, api: Api, node: str, scratch: Path) -> None:
        cluster = KubernetesCluster(api.kubeconfig(), None, scratch)
        self.source = PodSource(cluster, node, timing=SOON)
        self.writer = ConditionWriter(cluster, now=lambda: NOON)
        self.publisher = EventPublisher(cluster, self.subject, node, teller=TELLER)
        self.pods: Mapping[PodKey, Pod] | None = None
        self.errors: list[SourceError | None] = []

    def subject(self, owner: str) -> Metadata | None:
        namespace, _, name = owner.partition("/")
        found = (self.pods or {}).get(PodKey(namespace, name))
        return None if found is None else Metadata(name, namespace, found.version, found.uid)

    async def listen(self) -> None:
        async for said in self.source.snapshots():
            if not isinstance(said, SourceError):
                self.pods = said

    async def write(self) -> None:
        async for error in self.writer.outcomes():
            self.errors.append(error)

    async def tell(self) -> None:
        async for error in self.publisher.outcomes():
            self.errors.append(error)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():  # noqa: ASYNC110 - a server that tells nobody
                await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(api: Api, node: str) -> AsyncIterator[Watched]:
    with tempfile.TemporaryDirectory() as scratch:
        watched = Watched(api, node, Path(scratch))
        tasks = [asyncio.create_task(each()) for each in (watched.listen, watched.write, watched.tell)]
        try:
            yield watched
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def conditions(api: Api, name: str) -> dict[str, dict[str, Any]]:
    found = api.get("Pod", name)["status"].get("conditions", [])
    return {each["type"]: each for each in found}


def test_only_the_pods_of_the_node_are_heard_of_and_each_change_of_them(api: Api) -> None:
    async def story() -> None:
        node = f"{api.namespace}-1"
        api.create(running("web", node, "containerd://aa"))
        api.create(running("other", f"{api.namespace}-2", "containerd://bb"))
        async with watching(api, node) as watched:
            key = PodKey(api.namespace, "web")
            await watched.until(lambda: watched.pods)
            assert watched.pods is not None
            assert set(watched.pods) == {key}
            found = watched.pods[key]
            assert (found.container, found.has_gate, found.condition) == ("containerd://aa", True, None)
            fresh = running("web", node, "containerd://cc")["status"]
            api.patch(running("web", node, ""), {"status": fresh}, status=True)
            await watched.until(lambda: (watched.pods or {})[key].container == "containerd://cc")
            api.client.request("DELETE", f"/api/v1/namespaces/{api.namespace}/pods/web?gracePeriodSeconds=0").expect(
                200
            )
            await watched.until(lambda: watched.pods == {})

    run(story())


def test_the_condition_stands_beside_those_of_the_kubelet(api: Api) -> None:
    async def story() -> None:
        node = f"{api.namespace}-1"
        made = api.create(running("web", node, "containerd://aa"))
        async with watching(api, node) as watched:
            key, uid = PodKey(api.namespace, "web"), made["metadata"]["uid"]
            await watched.until(lambda: watched.pods)
            watched.writer.set(
                key, Condition(uid, is_ready=False, reason="TunnelFailed", message="make tunl0: ENOTSUP")
            )
            await watched.until(lambda: (watched.pods or {})[key].condition is False)
            assert (watched.pods or {})[key].condition_reason == "TunnelFailed"
            watched.writer.set(key, Condition(uid, is_ready=True, reason="TunnelReady", message="10.50.0.1"))
            await watched.until(lambda: (watched.pods or {})[key].condition is True)
        found = conditions(api, "web")
        assert set(found) == {"Ready", READY_CONDITION}
        assert found[READY_CONDITION]["lastTransitionTime"] == "2026-01-02T12:00:00Z"
        assert watched.errors == []

    run(story())


def test_a_condition_for_a_pod_that_is_gone_or_another_by_now_is_nobodys_concern(api: Api) -> None:
    async def story() -> None:
        node = f"{api.namespace}-1"
        api.create(running("web", node, "containerd://aa"))
        made = api.create(running("later", node, "containerd://bb"))
        async with watching(api, node) as watched:
            await watched.until(lambda: watched.pods)
            stale = Condition("11111111-2222-4333-8444-555555555555", is_ready=True, reason="TunnelReady")
            watched.writer.set(PodKey(api.namespace, "nobody"), stale)
            watched.writer.set(PodKey(api.namespace, "web"), stale)
            good = Condition(made["metadata"]["uid"], is_ready=True, reason="TunnelReady")
            watched.writer.set(PodKey(api.namespace, "later"), good)
            await watched.until(lambda: conditions(api, "later").get(READY_CONDITION))
        assert watched.errors == []
        assert READY_CONDITION not in conditions(api, "web")

    run(story())


def test_an_event_on_a_pod_says_who_told_it(api: Api) -> None:
    async def story() -> None:
        node = f"{api.namespace}-1"
        made = api.create(running("web", node, "containerd://aa"))
        async with watching(api, node) as watched:
            await watched.until(lambda: watched.pods)
            happening = Happening(f"{api.namespace}/web", Reason.ADDED_TUNNEL_VIP, "added 10.50.0.1 to tunl0")
            watched.publisher.report([happening])
            await watched.until(lambda: watched.publisher.written)
        (event,) = api.list("Event")["items"]
        assert (event["reason"], event["type"]) == ("AddedIPIPTunnelIP", "Normal")
        assert event["source"] == {"component": "balanced-tunnel", "host": node}
        assert (event["involvedObject"]["kind"], event["involvedObject"]["uid"]) == ("Pod", made["metadata"]["uid"])

    run(story())
