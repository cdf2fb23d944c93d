"""What the agent asks of the world around it: shapes, so that its tests run on fakes and virtual time."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.decide.backoff import BackoffPolicy
from appliance.errors import SourceError
from appliance.model.address import Address, Network
from appliance.model.desired import Snapshot
from appliance.model.happening import Happening
from appliance.model.pod import Condition, Pod, PodKey
from appliance.model.tunnel import Listener, Tended, TunnelVip, TunnelWant
from appliance.runtimes.resolver import ContainerId


class Services(Protocol):
    """Who says which services there are."""

    def snapshots(self) -> AsyncIterator[Snapshot | SourceError]:
        """What it says; an error where it cannot be heard."""
        ...


class Pods(Protocol):
    """Who says which pods this node has."""

    def snapshots(self) -> AsyncIterator[Mapping[PodKey, Pod] | SourceError]:
        """What it says; an error where it cannot be heard."""
        ...


class Containers(Protocol):
    """Who knows the processes of containers."""

    async def pid(self, container: ContainerId) -> int:
        """As in Resolver."""
        ...


class Namespaces(Protocol):
    """Who works in the namespaces of pods."""

    async def tend(self, pid: int, container: str, want: TunnelWant, opened: Collection[Listener]) -> Tended:
        """As in Places."""
        ...

    async def find(self, pid: int, container: str) -> frozenset[TunnelVip]:
        """As in Places."""
        ...

    def forget(self, place: str) -> None:
        """As in Places."""
        ...


class Conditions(Protocol):
    """Who writes the condition of pods."""

    def set(self, key: PodKey, condition: Condition) -> None:
        """As in ConditionWriter."""
        ...

    def drop(self, key: PodKey) -> None:
        """As in ConditionWriter."""
        ...

    def outcomes(self) -> AsyncIterator[SourceError | None]:
        """As in ConditionWriter."""
        ...


class Publisher(Protocol):
    """Who writes Events on pods."""

    def report(self, happenings: Sequence[Happening]) -> None:
        """As in EventPublisher."""
        ...

    def outcomes(self) -> AsyncIterator[SourceError | None]:
        """As in EventPublisher."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All of them; ``publisher`` is None where Events are not wanted."""

    services: Services
    pods: Pods
    containers: Containers
    namespaces: Namespaces
    conditions: Conditions
    publisher: Publisher | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The agent's view of its configuration. Times in seconds."""

    node: str
    owned: Callable[[Address], bool]
    directors: tuple[Network, ...] | None
    resync_s: float = 30.0
    linger_s: float = 90.0
    confirm_after_s: float = 300.0
    unhealthy_after_s: float = 60.0
    backoff: BackoffPolicy = BackoffPolicy()
