"""Desired state <-> the bytes of the snapshot file. Pure.

Two lines: a header with format, version and checksum, then the body as JSON, which an operator can read. The rows are
written out here and not derived from the model, so that the model may grow without silently changing the format.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from appliance.errors import SourceError
from appliance.model.address import Network
from appliance.model.desired import Announce, Backend, DesiredService, Note, Problem, Snapshot
from appliance.model.service import Protocol, ServiceFlag, ServiceKey, Tunnel, TunnelFlag, TunnelType

FORMAT = "balanced-snapshot"
VERSION = 4
"""To be raised with every change of a row."""

_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_R = TypeVar("_R", Problem, Note)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a source said, and since when it has been saying that (UTC).

    ``scope`` is what the source was configured to follow, in any words: of another scope it is another source.
    """

    snapshot: Snapshot
    since: datetime
    scope: str = ""


class Unusable(SourceError):
    """What lies on the disk is not to be served."""


class _Header(msgspec.Struct, frozen=True):
    format: str
    version: int
    sha256: str


class _Backend(NamedTuple):
    address: str
    weight: int
    ready: bool
    target: str
    is_pod: bool


class _Service(msgspec.Struct, frozen=True):
    vip: str
    protocol: str
    port: _Port
    owner: str
    scheduler: str
    flags: int
    tunnel: tuple[int, int, int]
    backends: tuple[_Backend, ...]
    persistence_s: int
    announce: str
    drain_s: float | None
    source_ranges: tuple[str, ...]
    new_flows_per_s: int | None
    kube_proxy_too: bool
    origin: str


class _Remark(msgspec.Struct, frozen=True):
    where: str
    what: str
    remedy: str
    owner: str
    in_cluster: bool


class _Source(msgspec.Struct, frozen=True):
    name: str
    scope: str
    since: datetime
    services: Sequence[msgspec.Raw]
    problems: Sequence[_Remark]
    notes: Sequence[_Remark]


class _Body(msgspec.Struct, frozen=True):
    pools: Sequence[str]
    sources: dict[str, _Source]


class Encoder:
    """Encodes again and again; a service that is the same object as the time before is not encoded anew."""

    def __init__(self, pools: Iterable[Network]) -> None:
        self._pools = _named(pools)
        self._rows: dict[int, tuple[DesiredService, msgspec.Raw]] = {}

    def encode(self, kept: Mapping[str, Kept]) -> bytes:
        """The whole file."""
        services = [service for each in kept.values() for service in each.snapshot.services]
        # The object is kept beside its row, so that its id is nobody else's meanwhile.
        self._rows = {id(each): self._rows.get(id(each)) or (each, _row(each)) for each in services}
        body = msgspec.json.encode(_Body(self._pools, {name: self._source(each) for name, each in kept.items()}))
        header = msgspec.json.encode(_Header(FORMAT, VERSION, _checksum(body)))
        return b"%b\n%b\n" % (header, body)

    def _source(self, kept: Kept) -> _Source:
        snapshot = kept.snapshot
        return _Source(
            snapshot.source,
            kept.scope,
            kept.since,
            [self._rows[id(each)][1] for each in snapshot.services],
            [_remark(each) for each in snapshot.problems],
            [_remark(each) for each in snapshot.notes],
        )


def decode(content: bytes, pools: Iterable[Network]) -> dict[str, Kept]:
    """What the file holds of each source.

    Raises:
        Unusable: it is damaged, of another version, or was written for other pools.
    """
    head, _, body = content.partition(b"\n")
    body = body.removesuffix(b"\n")
    try:
        header = msgspec.json.decode(head, type=_Header)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors, as is text that is no UTF-8
        raise Unusable("it is damaged: no header") from None
    if (header.format, header.version) != (FORMAT, VERSION):
        raise Unusable(f"it is of version {header.version}, and this program reads {VERSION}")
    if header.sha256 != _checksum(body):
        raise Unusable("it is damaged: the checksum does not fit")
    try:
        found = msgspec.json.decode(body, type=_Body)
        if list(found.pools) != _named(pools):
            raise Unusable(f"it was written for other pools: {', '.join(found.pools)}")
        return {name: _kept(each) for name, each in found.sources.items()}
    except (ValueError, KeyError, RecursionError) as error:
        raise Unusable(f"it is damaged: {error}") from None


def _kept(source: _Source) -> Kept:
    snapshot = Snapshot(
        source.name,
        tuple(_service(msgspec.json.decode(each, type=_Service)) for each in source.services),
        tuple(_said(Problem, each) for each in source.problems),
        tuple(_said(Note, each) for each in source.notes),
    )
    return Kept(snapshot, source.since.astimezone(UTC), source.scope)


def _row(service: DesiredService) -> msgspec.Raw:
    key, tunnel = service.key, service.tunnel
    row = _Service(
        vip=str(key.vip),
        protocol=key.protocol.name,
        port=key.port,
        owner=service.owner,
        scheduler=service.scheduler,
        flags=int(service.flags),
        tunnel=(int(tunnel.type), tunnel.port, int(tunnel.flags)),
        backends=tuple(
            _Backend(str(each.address), each.weight, each.ready, each.target, each.is_pod) for each in service.backends
        ),
        persistence_s=service.persistence_s,
        announce=service.announce.value,
        drain_s=service.drain_s,
        source_ranges=tuple(map(str, service.source_ranges)),
        new_flows_per_s=service.new_flows_per_s,
        kube_proxy_too=service.kube_proxy_too,
        origin=service.origin,
    )
    return msgspec.Raw(msgspec.json.encode(row))


def _service(row: _Service) -> DesiredService:
    kind, port, flags = row.tunnel
    return DesiredService(
        key=ServiceKey(ip_address(row.vip), Protocol[row.protocol], row.port),
        owner=row.owner,
        scheduler=row.scheduler,
        flags=ServiceFlag(row.flags),
        tunnel=Tunnel(TunnelType(kind), port, TunnelFlag(flags)),
        backends=tuple(
            Backend(ip_address(each.address), each.weight, each.ready, each.target, each.is_pod)
            for each in row.backends
        ),
        persistence_s=row.persistence_s,
        announce=Announce(row.announce),
        drain_s=row.drain_s,
        source_ranges=tuple(map(ip_network, row.source_ranges)),
        new_flows_per_s=row.new_flows_per_s,
        kube_proxy_too=row.kube_proxy_too,
        origin=row.origin,
    )


def _remark(remark: Problem | Note) -> _Remark:
    return _Remark(remark.where, remark.what, remark.remedy, remark.owner, remark.in_cluster)


def _said(kind: type[_R], row: _Remark) -> _R:
    return kind(row.where, row.what, row.remedy, row.owner, row.in_cluster)


def _named(pools: Iterable[Network]) -> list[str]:
    return sorted(map(str, pools))


def _checksum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def later(kept: Kept, snapshot: Snapshot, now: datetime) -> Kept:
    """What is kept once the source has said ``snapshot``: the time stays where that is what it said before."""
    if kept.snapshot == snapshot:
        return replace(kept, snapshot=snapshot)
    return replace(kept, snapshot=snapshot, since=now)
