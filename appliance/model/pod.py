"""A pod of this node, as far as its end of the tunnel is concerned."""

from dataclasses import dataclass, field
from typing import NamedTuple


class PodKey(NamedTuple):
    """What names a pod."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod.

    ``container`` is the id of its first running container, else init container, with the runtime before it
    (``containerd://7f...``); empty while none runs. ``ignored_by`` is the annotation by which it is to be left alone.
    ``has_gate`` is whether it waits for our condition to become ready, ``condition`` what that says now, None where it
    says nothing, and ``condition_reason`` why. ``uid`` and ``version`` are the API server's.
    """

    key: PodKey
    uid: str = ""
    container: str = ""
    host_network: bool = False
    ignored_by: str = ""
    has_gate: bool = False
    condition: bool | None = None
    condition_reason: str = ""
    version: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """What is to be said of a pod: whether all its VIPs stand. ``reason`` is one word in CamelCase."""

    uid: str
    is_ready: bool
    reason: str
    message: str = ""
