"""What is to be told about Services -> core/v1 Events, few enough for any cluster. Pure: the time is given.

There is one Event for each Service and reason, and what happens again counts it up (count, lastTimestamp), as with
client-go's correlator. Two token buckets hold the writing back, one for each Service and one over all. What has to wait
is put together, and where too much waits the least of it is dropped and counted.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from appliance.model.happening import Happening, Reason
from appliance.sources.kubernetes.objects import Metadata

COMPONENT = "balanced-director"
MAX_MESSAGE_CHARACTERS = 1000
"""A note of events.k8s.io/v1, as which the API shows every Event, has at most 1024 bytes."""

MOST_TEXTS = 3
"""The latest different texts told in one Event."""

_URGENT = frozenset(
    {
        Reason.ANNOUNCED,
        Reason.WITHDRAWN,
        Reason.NOT_ANNOUNCED,
        Reason.REFUSED,
        Reason.ALLOCATED,
        Reason.OUT_OF_ADDRESSES,
        Reason.REQUEST_UNMET,
        Reason.NO_SUITABLE_ADDRESS,
        Reason.SHARING_CONFLICT,
        Reason.FOREIGN_CLASS,
        Reason.FOREIGN_ADDRESS,
    }
)


@dataclass(frozen=True, slots=True)
class Teller:
    """Who tells: ``component`` as Events name it, and the kind of the objects that it tells about."""

    component: str
    kind: str = "Service"


DIRECTOR = Teller(COMPONENT)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is written: ``burst`` Events at once, then ``per_s`` a second, over all and for each Service.

    ``pending`` Events may wait. One that was not counted up for ``series_s`` is over; what happens then is another.
    """

    burst: int = 30
    per_s: float = 5.0
    service_burst: int = 10
    service_per_s: float = 0.1
    pending: int = 4096
    series_s: float = 600.0


@dataclass(slots=True)
class Pending:
    """An Event that waits to be written: what happened ``count`` times to one Service for one reason."""

    subject: Metadata
    reason: Reason
    first: datetime
    last: datetime
    count: int = 0
    texts: list[str] = field(default_factory=list)

    @property
    def name(self) -> "Name":
        """Namespace and name of the Service, and the reason."""
        return self.subject.namespace or "default", self.subject.name, self.reason

    @property
    def message(self) -> str:
        """The latest texts in one line."""
        return "; ".join(self.texts)[:MAX_MESSAGE_CHARACTERS]

    def add(self, texts: Iterable[str], count: int, last: datetime) -> None:
        """It happened so many times more."""
        self.count += count
        self.last = last
        for text in texts:
            if text in self.texts:
                self.texts.remove(text)
            self.texts.append(text)
        del self.texts[:-MOST_TEXTS]


Name = tuple[str, str, Reason]


class Bucket:
    """A token bucket, full at first."""

    def __init__(self, burst: int, per_s: float, now_s: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._tokens, self._at_s = float(burst), now_s

    def has(self, now_s: float) -> bool:
        """Whether there is a token."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        return self._tokens >= 1

    def take(self) -> None:
        """Take one."""
        self._tokens -= 1


class Queue:
    """Events that wait. ``dropped`` counts happenings that nobody will ever hear of."""

    def __init__(self, limits: Limits, now_s: float) -> None:
        self.dropped = 0
        self._limits = limits
        self._urgent: OrderedDict[Name, Pending] = OrderedDict()
        self._ordinary: OrderedDict[Name, Pending] = OrderedDict()
        self._bucket = Bucket(limits.burst, limits.per_s, now_s)
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._ordinary)

    def put(self, subject: Metadata, happening: Happening, at: datetime) -> None:
        """Let a happening wait, together with what waits for the same Service and reason already."""
        fresh = Pending(subject, happening.reason, at, at)
        waiting = self._lane(fresh).get(fresh.name)
        if waiting is not None:
            waiting.subject = subject
            waiting.add([happening.text], 1, at)
            return
        fresh.add([happening.text], 1, at)
        self._enqueue(fresh)

    def put_back(self, pending: Pending) -> None:
        """What could not be written waits on, first in its lane, together with what has happened since."""
        since = self._lane(pending).pop(pending.name, None)
        if since is not None:
            pending.add(since.texts, since.count, since.last)
        if self._enqueue(pending):
            self._lane(pending).move_to_end(pending.name, last=False)

    def take(self, now_s: float) -> Pending | None:
        """The next Event to be written now; None if there is none, or none may be yet."""
        if not self._bucket.has(now_s):
            return None
        for lane in (self._urgent, self._ordinary):
            for name, pending in lane.items():
                bucket = self._of_service(name[:2], now_s)
                if bucket.has(now_s):
                    bucket.take()
                    self._bucket.take()
                    del lane[name]
                    return pending
        return None

    def _enqueue(self, pending: Pending) -> bool:
        """Whether there is room; what happened to a VIP as a whole displaces what happened inside of IPVS."""
        lane = self._lane(pending)
        if len(self) >= self._limits.pending:
            if lane is self._ordinary or not self._ordinary:
                self.dropped += pending.count
                return False
            self.dropped += self._ordinary.popitem(last=False)[1].count
        lane[pending.name] = pending
        return True

    def _lane(self, pending: Pending) -> OrderedDict[Name, Pending]:
        return self._urgent if pending.reason in _URGENT else self._ordinary

    def _of_service(self, service: tuple[str, str], now_s: float) -> Bucket:
        limits = self._limits
        if service not in self._buckets:
            self._buckets[service] = Bucket(limits.service_burst, limits.service_per_s, now_s)
        self._buckets.move_to_end(service)
        if len(self._buckets) > limits.pending:
            self._buckets.popitem(last=False)
        return self._buckets[service]


@dataclass(frozen=True, slots=True)
class Written:
    """An Event that a server holds; ``at_s`` is when it was written last."""

    event: str
    uid: str | None
    first: datetime
    count: int
    at_s: float


class Series:
    """The Events that can be counted up still."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._written: OrderedDict[Name, Written] = OrderedDict()

    def of(self, pending: Pending, now_s: float) -> Written | None:
        """The Event that goes on with this, if there is one of the very same Service."""
        written = self._written.get(pending.name)
        if written is None or written.uid != pending.subject.uid or now_s - written.at_s > self._limits.series_s:
            return None
        return written

    def note(self, pending: Pending, event: str, before: Written | None, now_s: float) -> None:
        """It was written as this Event, which went on from ``before``."""
        count = pending.count + (before.count if before else 0)
        first = before.first if before else pending.first
        self._written[pending.name] = Written(event, pending.subject.uid, first, count, now_s)
        self._written.move_to_end(pending.name)
        if len(self._written) > self._limits.pending:
            self._written.popitem(last=False)

    def end(self, pending: Pending) -> None:
        """The server holds it no more: Events are deleted after an hour (kube-apiserver, --event-ttl)."""
        self._written.pop(pending.name, None)


def creation(pending: Pending, event: str, node: str, teller: Teller = DIRECTOR) -> dict[str, Any]:
    """The body of a new Event with that name, told by ``teller`` on ``node``."""
    subject = pending.subject
    namespace = subject.namespace or "default"
    regarding = {
        "apiVersion": "v1",
        "kind": teller.kind,
        "namespace": namespace,
        "name": subject.name,
        "uid": subject.uid,
        "resourceVersion": subject.resource_version,
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": namespace, "name": event},
        "involvedObject": {name: value for name, value in regarding.items() if value},
        "reason": pending.reason.value,
        "message": pending.message,
        "type": "Warning" if pending.reason.is_warning else "Normal",
        "source": {"component": teller.component, "host": node},
        "reportingComponent": teller.component,
        "reportingInstance": node,
        "firstTimestamp": _time(pending.first),
        "lastTimestamp": _time(pending.last),
        "count": pending.count,
    }


def continuation(pending: Pending, before: Written) -> dict[str, Any]:
    """The merge patch that counts an Event up."""
    return {
        "message": pending.message,
        "lastTimestamp": _time(pending.last),
        "count": before.count + pending.count,
    }


def _time(at: datetime) -> str:
    """RFC 3339 in whole seconds, as meta/v1 Time is written; ``at`` is in UTC."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
