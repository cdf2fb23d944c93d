"""What the kernel counts for services and destinations: for metrics, never part of a comparison."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the object was created: connections scheduled, packets and bytes towards the backends and back.

    ``cps``, ``pps_*`` and ``bps_*`` are the kernel's estimates of connections, packets and bytes a second. With direct
    server return nothing comes back through the director, so the outgoing figures stay 0.
    """

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    cps: int = 0
    pps_in: int = 0
    pps_out: int = 0
    bps_in: int = 0
    bps_out: int = 0


@dataclass(frozen=True, slots=True)
class DestinationCounters:
    """Connections that a destination holds now, and its totals."""

    active: int = 0
    inactive: int = 0
    persistent: int = 0
    totals: Counters = field(default_factory=Counters)
