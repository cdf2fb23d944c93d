"""The pods of one node, as an API server tells them."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from random import Random
from typing import Any

import msgspec

from appliance.errors import SourceError
from appliance.model.pod import Pod, PodKey
from appliance.sources.kubernetes.annotations import PREFIX
from appliance.sources.kubernetes.api import PODS, UNREADABLE, Cluster, Connection, Resource
from appliance.sources.kubernetes.watch import Follower, Timing
from appliance.sources.kubernetes.wire import Event

READY_CONDITION = f"{PREFIX}tunnel-ready"
"""Type of the pod condition that says that every VIP of the pod stands on its tunnel."""

IGNORE = (f"{PREFIX}tunnel-ignore", "ipvs-tunnel-controller.demonware.net/ignore")
"""Annotations of a pod that is to be left alone, whatever they say but "false"."""


class PodSource:
    """The pods that the scheduler gave to ``node``."""

    def __init__(
        self, cluster: Cluster, node: str, *, timing: Timing | None = None, chance: Random | None = None
    ) -> None:
        self._ear = _Ear()
        self._follower = Follower(
            cluster,
            _pods,
            self._ear,
            fields=f"spec.nodeName={node}",
            timing=timing or Timing(),
            chance=chance or Random(),  # noqa: S311 - spreads load, keeps no secret
        )

    async def snapshots(self) -> AsyncIterator[Mapping[PodKey, Pod] | SourceError]:
        """All pods once they were listed, then after each change; an error where they cannot be heard: hold on."""
        task = asyncio.create_task(self._follower.run(), name="kubernetes pods")
        task.add_done_callback(lambda _: self._ear.changed.set())
        try:
            while True:
                await self._ear.changed.wait()
                self._ear.changed.clear()
                if task.done():
                    task.result()
                if self._ear.error is not None:
                    yield self._ear.error
                elif self._ear.is_complete:
                    yield dict(self._ear.pods)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class _Ear:
    """Hears the follower and keeps the pods."""

    def __init__(self) -> None:
        self.pods: dict[PodKey, Pod] = {}
        self.changed = asyncio.Event()
        self.error: SourceError | None = None
        self.is_complete = False

    def read(self, _: Resource, text: msgspec.Raw) -> Pod | None:
        return read_pod(text)

    def listed(self, items: Iterable[Pod]) -> None:
        self.pods = {pod.key: pod for pod in items}
        self.is_complete = True
        self.changed.set()

    def happened(self, _: Resource, event: Event) -> None:
        pod = read_pod(event.object)
        if pod is None or (event.type != "DELETED" and self.pods.get(pod.key) == pod):
            return
        if event.type == "DELETED":
            self.pods.pop(pod.key, None)
        else:
            self.pods[pod.key] = pod
        self.changed.set()

    def well(self) -> None:
        if self.error is not None:
            self.error = None
            self.changed.set()

    def failed(self, error: SourceError) -> None:
        self.error = error
        self.changed.set()


def read_pod(text: msgspec.Raw) -> Pod | None:
    """A pod as the API server sends it; None for what is none, of which the last good word stands."""
    try:
        found = _PODS.decode(text)
    except UNREADABLE:
        return None
    annotations = found.metadata.annotations or {}
    spec, status = found.spec or _Spec(), found.status or _Status()
    said = next((each for each in status.conditions or () if each.type == READY_CONDITION), None)
    return Pod(
        key=PodKey(found.metadata.namespace, found.metadata.name),
        uid=found.metadata.uid,
        container=_container(status),
        host_network=bool(spec.host_network),
        ignored_by=next((name for name in IGNORE if annotations.get(name, "false").lower() != "false"), ""),
        has_gate=any(gate.condition_type == READY_CONDITION for gate in spec.readiness_gates or ()),
        condition=None if said is None else said.status == "True",
        condition_reason="" if said is None else said.reason or "",
        version=found.metadata.resource_version,
    )


def _container(status: "_Status") -> str:
    """Any container will do, for all of a pod share its network: the first that runs, an ordinary one if it can be."""
    everyone = (*(status.container_statuses or ()), *(status.init_container_statuses or ()))
    running = (each for each in everyone if each.state is not None and each.state.running is not None)
    return next((each.container_id for each in running if each.container_id), "")


async def _pods(_: Connection) -> Resource:
    return PODS


class _Part(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Any part of a pod."""


class _Metadata(_Part, frozen=True):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Gate(_Part, frozen=True):
    condition_type: str


class _Spec(_Part, frozen=True):
    host_network: bool | None = None
    readiness_gates: tuple[_Gate, ...] | None = None


class _State(_Part, frozen=True):
    running: dict[str, Any] | None = None


class _Container(_Part, frozen=True):
    container_id: str = msgspec.field(name="containerID", default="")
    state: _State | None = None


class _Condition(_Part, frozen=True):
    type: str
    status: str
    reason: str | None = None


class _Status(_Part, frozen=True):
    conditions: tuple[_Condition, ...] | None = None
    container_statuses: tuple[_Container, ...] | None = None
    init_container_statuses: tuple[_Container, ...] | None = None


class _Object(_Part, frozen=True):
    metadata: _Metadata
    spec: _Spec | None = None
    status: _Status | None = None


_PODS = msgspec.json.Decoder(_Object)
