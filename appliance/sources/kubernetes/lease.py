"""One Lease of coordination.k8s.io/v1, read and written under the condition that nobody else wrote it meanwhile."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from appliance.model.lease import LeaseRecord
from appliance.sources.kubernetes.api import UNREADABLE, ExchangeCluster, Refused, Resource, Unreachable

LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease")
_NOT_FOUND, _CONFLICT = 404, 409


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None


class _Lease(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: _Spec = _Spec()


@dataclass(frozen=True, slots=True)
class KubernetesLease:
    """The Lease ``namespace/name`` of a cluster; each call is a connection with the credentials of its moment."""

    cluster: ExchangeCluster
    namespace: str
    name: str

    async def read(self) -> LeaseRecord | None:
        """The Lease as it is; None where there is none yet.

        Raises:
            SourceError: the server does not say.
        """
        async with self.cluster.connect() as connection:
            try:
                return _record(await connection.get(f"{self._collection}/{quote(self.name, safe='')}", {}))
            except Refused as error:
                if error.status == _NOT_FOUND:
                    return None
                raise

    async def write(self, wanted: LeaseRecord) -> LeaseRecord | None:
        """Write the Lease if its version still is that of ``wanted`` (empty: if there is none); None if it is not.

        Raises:
            SourceError: the server did not do it, or may not have.
        """
        async with self.cluster.connect() as connection:
            try:
                if not wanted.version:
                    return _record(await connection.send("POST", self._collection, self._body(wanted)))
                path = f"{self._collection}/{quote(self.name, safe='')}"
                return _record(await connection.send("PATCH", path, self._body(wanted)))
            except Refused as error:
                if error.status in {_NOT_FOUND, _CONFLICT}:
                    return None
                raise

    @property
    def _collection(self) -> str:
        return LEASES.path(quote(self.namespace, safe=""))

    def _body(self, wanted: LeaseRecord) -> dict[str, Any]:
        return {
            "apiVersion": LEASES.version,
            "kind": LEASES.kind,
            "metadata": {"name": self.name, "namespace": self.namespace}
            | ({"resourceVersion": wanted.version} if wanted.version else {}),
            "spec": {
                "holderIdentity": wanted.holder,
                "leaseDurationSeconds": wanted.duration_s,
                "leaseTransitions": wanted.transitions,
                "acquireTime": wanted.acquired or _now(),
                "renewTime": _now(),
            },
        }


def _record(body: bytes) -> LeaseRecord:
    try:
        lease = _LEASES.decode(body)
    except UNREADABLE as error:
        raise Unreachable(f"the answer is no Lease: {error}") from None
    spec = lease.spec
    return LeaseRecord(
        holder=spec.holder_identity or "",
        duration_s=spec.lease_duration_seconds or 0,
        transitions=spec.lease_transitions or 0,
        acquired=spec.acquire_time or _now(),
        version=lease.metadata.resource_version,
    )


def _now() -> str:
    """RFC 3339 with microseconds, as meta/v1 MicroTime is written. For people only: nobody here goes by it."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


_LEASES = msgspec.json.Decoder(_Lease)
