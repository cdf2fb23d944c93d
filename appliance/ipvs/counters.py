"""What the kernel counts, out of the same messages that carry the configuration; only metrics ask for it."""

import struct

from appliance.ipvs.attributes import Dest, Service, Stats, Top
from appliance.model.counters import Counters, DestinationCounters
from appliance.netlink.message import attributes, malformed

_GENERIC_BYTES = 4
_U32 = struct.Struct("=I")
_U64 = struct.Struct("=Q")


def decode_service_counters(body: bytes) -> Counters:
    """The totals of the service in the body of a message.

    Raises:
        KernelError: with EBADMSG, the bytes are not a service.
    """
    return _totals(_nest(attributes(body, _GENERIC_BYTES), Top.SERVICE), Service.STATS64)


def decode_destination_counters(body: bytes) -> DestinationCounters:
    """The connections and totals of the destination in the body of a message.

    Raises:
        KernelError: with EBADMSG, the bytes are not a destination.
    """
    found = _nest(attributes(body, _GENERIC_BYTES), Top.DEST)
    return DestinationCounters(
        active=_number(_U32, found, Dest.ACTIVE_CONNS),
        inactive=_number(_U32, found, Dest.INACT_CONNS),
        persistent=_number(_U32, found, Dest.PERSIST_CONNS),
        totals=_totals(found, Dest.STATS64),
    )


def _totals(found: dict[int, bytes], kind: int) -> Counters:
    stats = _nest(found, kind)
    return Counters(
        connections=_number(_U64, stats, Stats.CONNS),
        packets_in=_number(_U64, stats, Stats.INPKTS),
        packets_out=_number(_U64, stats, Stats.OUTPKTS),
        bytes_in=_number(_U64, stats, Stats.INBYTES),
        bytes_out=_number(_U64, stats, Stats.OUTBYTES),
        cps=_number(_U64, stats, Stats.CPS),
        pps_in=_number(_U64, stats, Stats.INPPS),
        pps_out=_number(_U64, stats, Stats.OUTPPS),
        bps_in=_number(_U64, stats, Stats.INBPS),
        bps_out=_number(_U64, stats, Stats.OUTBPS),
    )


def _nest(found: dict[int, bytes], kind: int) -> dict[int, bytes]:
    if kind not in found:
        raise malformed(f"missing attribute {kind}", 0)
    return attributes(found[kind])


def _number(layout: struct.Struct, found: dict[int, bytes], kind: int) -> int:
    payload = found.get(kind, b"")
    if len(payload) != layout.size:
        raise malformed(f"number {kind}", 0)
    return int(layout.unpack(payload)[0])
