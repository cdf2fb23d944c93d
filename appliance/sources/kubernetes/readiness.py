"""The condition of pods that says whether their VIPs stand, written to their status for readiness gates to read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from urllib.parse import quote

from appliance.errors import SourceError
from appliance.model.pod import Condition, PodKey
from appliance.sources.kubernetes.api import PODS, Expired, Refused, Sender, SendingCluster
from appliance.sources.kubernetes.pods import READY_CONDITION

WRITE_S = 10.0
"""A write that takes longer counts as failed."""

FIRST_RETRY_S, MAX_RETRY_S = 0.5, 30.0
SESSION_S = 60.0
"""A connection is used that long; the next one reads the credentials anew."""

_GONE = frozenset({404, 409, 422})
"""No such pod, or another one under its name: uid and the status of what is gone are nobody's concern any more."""


class ConditionWriter:
    """Writes the latest condition of each pod, and tries again for as long as that is the latest."""

    def __init__(self, cluster: SendingCluster, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._cluster = cluster
        self._now = now
        self._waiting: dict[PodKey, Condition] = {}
        self._news = asyncio.Event()

    def set(self, key: PodKey, condition: Condition) -> None:
        """Have it written. Neither waits nor fails."""
        self._waiting[key] = condition
        self._news.set()

    def drop(self, key: PodKey) -> None:
        """The pod is gone."""
        self._waiting.pop(key, None)

    async def outcomes(self) -> AsyncIterator[SourceError | None]:
        """Write, for ever; yields the error while nothing can be written, and None once it can again."""
        failures = 0
        while True:
            await self._news.wait()
            error = await self._session()
            if error is None:
                if failures:
                    yield None
                failures = 0
                continue
            failures += 1
            yield error
            await asyncio.sleep(min(FIRST_RETRY_S * 2 ** min(failures - 1, 31), MAX_RETRY_S))

    async def _session(self) -> SourceError | None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + SESSION_S
        try:
            async with self._cluster.connect() as connection:
                while loop.time() < end_s:
                    await self._write_all(connection)
                    self._news.clear()
                    async with asyncio.timeout_at(end_s):
                        await self._news.wait()
        except TimeoutError:
            return None
        except SourceError as error:
            return error
        return None

    async def _write_all(self, connection: Sender) -> None:
        while self._waiting:
            key, condition = next(iter(self._waiting.items()))
            try:
                async with asyncio.timeout(WRITE_S):
                    await self._write(connection, key, condition)
            except TimeoutError:
                raise SourceError(f"no answer within {WRITE_S:g} s to the condition of pod {key}") from None
            if self._waiting.get(key) is condition:
                del self._waiting[key]

    async def _write(self, connection: Sender, key: PodKey, condition: Condition) -> None:
        path = f"{PODS.path(quote(key.namespace, safe=''))}/{quote(key.name, safe='')}/status"
        try:
            await connection.send("PATCH", path, body(condition, self._now()), by_key=True)
        except Refused as error:
            if error.status not in _GONE:
                hint = "allow patch of pods/status, as the ClusterRole of `balanced manifests tunnel` does"
                raise SourceError(error.message, hint=hint if error.status == 403 else error.hint) from None  # noqa: PLR2004 - HTTP, forbidden
        except Expired:
            return


def body(condition: Condition, now: datetime) -> dict[str, object]:
    """The strategic merge patch of a pod's status; the uid keeps it from a later pod of the same name."""
    return {
        "metadata": {"uid": condition.uid},
        "status": {
            "conditions": [
                {
                    "type": READY_CONDITION,
                    "status": "True" if condition.is_ready else "False",
                    "reason": condition.reason,
                    "message": condition.message,
                    "lastTransitionTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                }
            ]
        },
    }
