"""What an allocator says of itself: Events for the owners of Services, lines for the journal, figures for scrapers."""

from collections import Counter
from collections.abc import Mapping

from appliance.decide.ledger import Ledger
from appliance.decide.occupancy import RangeUse, occupancy
from appliance.errors import SourceError
from appliance.ipam.ports import Publisher
from appliance.model.address import Address
from appliance.model.claim import Claim, Denial, Grant, Refusal
from appliance.model.happening import Happening, Reason
from appliance.telemetry import ipam_metrics, messages, metrics
from appliance.telemetry.exposition import Family, Sample, labels
from appliance.telemetry.journal import Journal, Standing
from appliance.telemetry.meter import Meter

REASONS: Mapping[Denial, Reason] = {
    Denial.EXHAUSTED: Reason.OUT_OF_ADDRESSES,
    Denial.REQUEST_UNMET: Reason.REQUEST_UNMET,
    Denial.NO_POOL: Reason.NO_SUITABLE_ADDRESS,
    Denial.SHARING: Reason.SHARING_CONFLICT,
    Denial.FOREIGN_CLASS: Reason.FOREIGN_CLASS,
    Denial.FOREIGN_ADDRESS: Reason.FOREIGN_ADDRESS,
}


class Teller:
    """Says each thing once: when it begins, changes or ends."""

    def __init__(self, journal: Journal, publisher: Publisher | None, meter: Meter) -> None:
        self.meter = meter
        self._journal = journal
        self._publisher = publisher
        self._standing = Standing(journal)
        self._refused: dict[str, tuple[Refusal, ...]] = {}
        self._ledger: Ledger | None = None

    def allocating(self, owner: str, claim: Claim) -> None:
        """An address was found for the Service; it is not in its status yet."""
        wish = f" from {claim.pool[:63]}" if claim.pool else ""
        self._report(owner, Reason.ALLOCATING, f"allocating a load balancer address{wish}")

    def written(self, owner: str, before: tuple[Address, ...], after: tuple[Address, ...]) -> None:
        """The status of the Service was written."""
        if set(before) == set(after):
            return  # a new ipMode for the same addresses
        action = "released" if not after else "changed" if before else "given"
        self.meter.add(ipam_metrics.ALLOCATIONS, action)
        if after:
            self._report(owner, Reason.ALLOCATED, f"allocated {_text(after)}{_instead(before)}")
        self._journal.tell(
            messages.ALLOCATED, text=f"address {action}", SERVICE=owner, FROM=_text(before), TO=_text(after)
        )

    def gone(self, owner: str, before: tuple[Address, ...]) -> None:
        """The Service is gone, or wants nothing and has nothing any more."""
        self._refused.pop(owner, None)
        if before:
            self.meter.add(ipam_metrics.ALLOCATIONS, "released")
            self._journal.tell(messages.ALLOCATED, text="address released", SERVICE=owner, FROM=_text(before))

    def refused(self, claim: Claim, grant: Grant) -> None:
        """What the Service does not get; silent about what was said, and to those who never asked us by name.

        The last are Services whose address is of another allocator: they are counted, and told by ``report``.
        """
        owner = claim.owner
        said = self._refused.get(owner, ())
        if not grant.refusals:
            self._refused.pop(owner, None)
            return
        self._refused[owner] = grant.refusals
        for refusal in grant.refusals:
            if refusal not in said:
                if refusal.reason not in {each.reason for each in said}:
                    self.meter.add(ipam_metrics.ALLOCATION_FAILURES, refusal.reason.value)
                if refusal.reason is Denial.FOREIGN_ADDRESS and not claim.asks_by_name:
                    continue
                self._report(owner, REASONS[refusal.reason], refusal.text)
                self._journal.tell(messages.ALLOCATION_REFUSED, SERVICE=owner, PROBLEM=refusal.text)

    def writing(self, errors: Mapping[str, SourceError | None]) -> None:
        """How the latest statuses were taken."""
        if errors:
            owner, error = next(iter(errors.items()))
            self.meter.add(ipam_metrics.ALLOCATION_WRITE_FAILURES, by=len(errors))
            self._standing.begin(messages.ALLOCATOR_WRITES, str(error), SERVICE=owner)
        else:
            self._standing.end(messages.ALLOCATOR_WRITES)

    def source(self, error: SourceError | None) -> None:
        """Whether the Services can be heard."""
        self._stand(messages.ALLOCATOR_SOURCE, error)

    def lease(self, error: SourceError | None) -> None:
        """Whether the Lease can be read and written."""
        self._stand(messages.ALLOCATOR_LEASE, error)

    def events(self, error: SourceError | None) -> None:
        """Whether Events can be written."""
        self._stand(messages.EVENTS, error)

    def settled(self, took_ns: int) -> None:
        """Changes of Services were decided upon, in so many nanoseconds."""
        self.meter.observe(metrics.SYNC_TIME, took_ns)
        self.meter.set(metrics.SYNC_TIME_LAST, took_ns)

    def state(self, ledger: Ledger, pending: int) -> None:
        """The state of the leading allocator, for the figures."""
        self._ledger = ledger
        self.meter.set(ipam_metrics.ALLOCATION_PENDING, pending)

    def leads(self, *, is_leading: bool) -> None:
        """Whether this allocator leads."""
        self.meter.set(ipam_metrics.ALLOCATOR_LEADING, int(is_leading))
        if not is_leading:
            self._ledger = None
            self._refused.clear()
            self.meter.set(ipam_metrics.ALLOCATION_PENDING, 0)

    @property
    def uses(self) -> tuple[RangeUse, ...]:
        """How full the pools are; nothing from one that does not lead."""
        return occupancy(self._ledger) if self._ledger else ()

    def families(self) -> list[Family]:
        """The figures of the pools and of what is refused now; none from one that does not lead."""
        if self._ledger is None:
            return []
        uses = self.uses
        counts = Counter(refusal.reason.value for refusals in self._refused.values() for refusal in refusals)
        names = ipam_metrics.VIP_USED.labels
        used: list[Sample] = [(labels(names, (each.pool, each.range)), each.used) for each in uses]
        free: list[Sample] = [(labels(names, (each.pool, each.range)), each.free) for each in uses]
        now: list[Sample] = [
            (labels(ipam_metrics.ALLOCATION_REFUSED_NOW.labels, (each.value,)), counts[each.value]) for each in Denial
        ]
        return [
            Family(ipam_metrics.VIP_USED, used),
            Family(ipam_metrics.VIP_FREE, free),
            Family(ipam_metrics.ALLOCATION_REFUSED_NOW, now),
        ]

    def _stand(self, kind: messages.Message, error: SourceError | None) -> None:
        if error is None:
            self._standing.end(kind)
        else:
            self._standing.begin(kind, str(error))

    def _report(self, owner: str, reason: Reason, text: str) -> None:
        if self._publisher is not None:
            self._publisher.report([Happening(owner, reason, text)])


def _text(addresses: tuple[Address, ...]) -> str:
    return ", ".join(map(str, addresses))


def _instead(before: tuple[Address, ...]) -> str:
    return f" instead of {_text(before)}" if before else ""
