"""Who may lead by a Lease. The rule is that of Kubernetes' own leader election; no clock of another machine counts."""

from dataclasses import dataclass, replace

from appliance.model.lease import LeaseRecord


@dataclass(frozen=True, slots=True)
class Sighting:
    """A Lease, None where there is none, and when this version of it was first seen, on the reader's own clock."""

    record: LeaseRecord | None
    seen_s: float


def sight(before: Sighting | None, record: LeaseRecord | None, now_s: float) -> Sighting:
    """What is known after another reading: the older sighting while the Lease has not been written since."""
    return before if before is not None and before.record == record else Sighting(record, now_s)


def bid(sighting: Sighting, me: str, duration_s: int, now_s: float) -> LeaseRecord | None:
    """What ``me`` should write to lead on or to take over; None while somebody else leads.

    A leader counts as gone when it was seen to write nothing for as long as it said, and for ``duration_s``.
    """
    record = sighting.record
    if record is None:
        return LeaseRecord(me, duration_s)
    if record.holder == me:
        return replace(record, duration_s=duration_s)
    if record.holder and now_s - sighting.seen_s < max(record.duration_s, duration_s):
        return None
    return LeaseRecord(me, duration_s, record.transitions + 1, version=record.version)
