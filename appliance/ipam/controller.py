"""Gives addresses while it leads: complete list -> ledger -> statuses, then one change after another."""

import asyncio
import time
from collections.abc import Mapping

from appliance.decide.allocate import open_ledger, settle
from appliance.decide.ledger import Ledger
from appliance.decide.occupancy import must_write
from appliance.ipam.ports import Services, Statuses
from appliance.ipam.tell import Teller
from appliance.model.address import Address
from appliance.model.claim import Grant, Want
from appliance.model.pool import AddressPool

WRITTEN_AT_ONCE = 64
SETTLED_AT_ONCE = 500
"""Services decided upon before others get their turn: about 10 ms of work."""

FIRST_RETRY_S, MAX_RETRY_S = 1.0, 30.0


class Controller:
    """The allocations of one leadership. A new leader begins anew, from what the statuses say."""

    def __init__(self, pools: tuple[AddressPool, ...], services: Services, statuses: Statuses, teller: Teller) -> None:
        self.ledger = Ledger(pools)
        self.grants: dict[str, Grant] = {}
        self._pools = pools
        self._services = services
        self._statuses = statuses
        self._teller = teller
        self._changed: dict[str, None] = {}
        self._unwritten: dict[str, None] = {}
        self._failures = 0

    async def run(self) -> None:
        """Allocate until cancelled. Nothing is given before the list of Services is complete."""
        while not self._services.is_complete:
            await self._services.news.wait()
            self._teller.source(self._services.error)
            if not self._services.is_complete:
                self._services.take()
        self._open()
        while True:
            self._teller.source(self._services.error)
            await self._settle()
            self._teller.state(self.ledger, len(self._unwritten))
            batch = self._batch()
            if batch:
                await self._write(batch)
            else:
                await self._services.news.wait()

    def _open(self) -> None:
        self._services.take()
        claims = self._services.claims
        self.ledger, self.grants = open_ledger(self._pools, claims.values())
        for owner, grant in self.grants.items():
            self._decided(owner, grant)

    async def _settle(self) -> None:
        """Decide upon everything that changed, the oldest first; where something was freed, upon what waits for it."""
        begun_ns = time.perf_counter_ns()
        claims = self._services.claims
        changed = self._services.take()
        has_freed = False
        ordered = sorted(changed, key=lambda owner: claims[owner].order if owner in claims else ("", owner))
        for number, owner in enumerate(ordered):
            shared = owner in claims and bool(claims[owner].key and self.ledger.held(owner))
            has_freed = self._settle_one(owner) or shared or has_freed
            if number % SETTLED_AT_ONCE == SETTLED_AT_ONCE - 1:
                await asyncio.sleep(0)
        while has_freed:
            waiting = [owner for owner, grant in self.grants.items() if grant.waits and owner in claims]
            waiting.sort(key=lambda each: claims[each].order)
            has_freed = sum(map(self._settle_one, waiting)) > 0
        if changed:
            self._teller.settled(time.perf_counter_ns() - begun_ns)

    def _settle_one(self, owner: str) -> bool:
        """Decide upon one Service; whether an address became free."""
        claim = self._services.claims.get(owner)
        before = self.ledger.held(owner)
        if claim is None:
            self._unwritten.pop(owner, None)
            if self.grants.pop(owner, None) is not None:
                self._teller.gone(owner, before)
            return bool(self.ledger.release(owner))
        grant, freed = settle(self.ledger, claim)
        self._decided(owner, grant)
        return bool(freed)

    def _decided(self, owner: str, grant: Grant) -> None:
        claim = self._services.claims[owner]
        self.grants[owner] = grant
        if must_write(claim, grant):
            if owner not in self._unwritten and set(grant.addresses) - set(claim.held):
                self._teller.allocating(owner, claim)
            self._unwritten[owner] = None
        else:
            self._unwritten.pop(owner, None)
        self._teller.refused(claim, grant if claim.want in {Want.ADDRESS, Want.FOREIGN} else Grant())

    def _batch(self) -> Mapping[str, tuple[Address, ...]]:
        """The next statuses to write, the oldest Services first."""
        claims = self._services.claims
        owners = list(self._unwritten)[:WRITTEN_AT_ONCE]
        return {owner: self.grants[owner].addresses for owner in owners if owner in claims}

    async def _write(self, batch: Mapping[str, tuple[Address, ...]]) -> None:
        before = {owner: self._services.claims[owner].held for owner in batch}
        outcome = await self._statuses.write(batch)
        for owner in batch:
            self._unwritten.pop(owner, None)
        errors = {owner: error for owner, error in outcome.items() if error is not None}
        # What could not be written goes behind the others; what was overtaken comes again as a change.
        self._unwritten.update(dict.fromkeys(errors))
        for owner in outcome.keys() - errors.keys():
            self._teller.written(owner, before[owner], batch[owner])
        self._teller.writing(errors)
        if errors and len(errors) == len(outcome):
            self._failures += 1
            await asyncio.sleep(min(FIRST_RETRY_S * 2 ** min(self._failures - 1, 31), MAX_RETRY_S))
        else:
            self._failures = 0
