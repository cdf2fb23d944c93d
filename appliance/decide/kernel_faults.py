"""Faults of the kernel's IPVS that a director can meet, and where the 6.12 series has them mended.

From the changelog of Debian's linux package. Other series have most of the same fixes under numbers that only their own
changelogs tell, so nothing is concluded for them.
"""

from dataclasses import dataclass

Version = tuple[int, int, int]

LISTED = (6, 12)
"""The series whose fixes are listed below."""
OLDEST: Version = (5, 15, 15)
"""Before it a client port that is used again may go to a backend of weight 0, and before 5.9 its SYN is dropped."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in kernels of the listed series before ``mended``."""

    mended: Version
    what: str


FAULTS = (
    Fault((6, 12, 69), "crash where an IPv4 route fails"),
    Fault((6, 12, 85), "crash when a link goes down (CVE-2026-45917)"),
    Fault((6, 12, 94), "segments too large for the tunnel are let through, IPv6 checksums (CVE-2026-45850)"),
    Fault((6, 12, 100), "wrong path MTU from errors inside GUE and GRE"),
    Fault((6, 12, 105), "memory overwritten by ICMP errors"),
    Fault((6, 12, 115), "memory read past a header (CVE-2026-74747)"),
)


def faults_of(version: Version) -> tuple[Fault, ...]:
    """The known faults of a kernel of the listed series, none for others."""
    return tuple(fault for fault in FAULTS if version[:2] == LISTED and version < fault.mended)
